import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UnpackedCache } from "../../../src/files/unpacked-cache.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

test("what was unpacked once is not unpacked again; what is packed otherwise is", () => {
  using folder = new TemporaryFolder();
  let made = 0;
  const look = (packed: string) =>
    new UnpackedCache(folder.path).get(bytes(packed), () => {
      made++;
      return bytes(`unpacked ${packed}`);
    });
  for (let again = 0; again < 2; again++) {
    assert.equal(Buffer.from(look("a")).toString(), "unpacked a");
    assert.equal(Buffer.from(look("b")).toString(), "unpacked b");
  }
  assert.equal(made, 2);
});

test("a reason is given back and not kept; only so many are kept", () => {
  using folder = new TemporaryFolder();
  const cache = new UnpackedCache(folder.path);
  assert.equal(
    cache.get(bytes("x"), () => "damaged"),
    "damaged",
  );
  assert.deepEqual(readdirSync(folder.path), []);
  for (let index = 0; index < 20; index++) cache.get(bytes(String(index)), () => bytes("content"));
  assert.equal(readdirSync(folder.path).length, 6);
});

test("a cache that cannot be written costs time only", () => {
  using folder = new TemporaryFolder();
  writeFileSync(join(folder.path, "file"), "");
  const cache = new UnpackedCache(join(folder.path, "file", "below"));
  assert.deepEqual(
    cache.get(bytes("x"), () => bytes("y")),
    bytes("y"),
  );
});
