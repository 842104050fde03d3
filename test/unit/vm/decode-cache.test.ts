import assert from "node:assert/strict";
import { test } from "node:test";
import { FileSymbolCache } from "../../../src/vm/decode-cache.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const kernel = (number: number) => ({
  buildId: number.toString(16).padStart(40, "0"),
  buildIdOffset: 16,
  level3Offset: 4096,
});

test("a guest that makes up build ids does not fill the disk with their symbols", () => {
  using folder = new TemporaryFolder();
  const cache = new FileSymbolCache(folder.path);
  for (let number = 0; number < 80; number++) cache.store(kernel(number), Buffer.from("symbols"));
  assert.equal(cache.known().length, 64);
  assert.deepEqual(cache.load(kernel(79)), Buffer.from("symbols"));
  assert.ok(cache.known().some(({ buildId }) => buildId === kernel(79).buildId));
});
