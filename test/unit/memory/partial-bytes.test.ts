import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_SIZE } from "../../../src/base/address.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import { partialBytes, visitReadable } from "../../../src/memory/partial-bytes.ts";
import { kdump } from "../../fixtures/dump-writers.ts";
import { randomRam } from "../../fixtures/sparse-ram.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const SIZE = 64 * PAGE_SIZE;

test("missing pages are zero and counted, all others are what they are", () => {
  const ram = randomRam([{ start: 0, size: SIZE }], 5);
  const lost = new Set([0, 17, 18, 40, 63].map((frame) => frame * PAGE_SIZE));
  const file = kdump(ram, { codec: "lzo", excluded: (at) => lost.has(at) });
  using folder = new TemporaryFolder();
  using memory = openDump(folder.file("dump", file));

  const expected = Buffer.from(ram.read(0, SIZE));
  for (const at of lost) expected.fill(0, at, at + PAGE_SIZE);
  const { bytes, missing } = partialBytes(memory, 0, SIZE);
  assert.deepEqual(Buffer.from(bytes), expected);
  assert.equal(missing, lost.size * PAGE_SIZE);

  const seen: number[] = [];
  const unread = visitReadable(memory, 0, SIZE, (part, start) => {
    assert.deepEqual(part, ram.read(start, part.length));
    for (let at = start; at < start + part.length; at += PAGE_SIZE) seen.push(at);
  });
  assert.equal(unread, lost.size * PAGE_SIZE);
  assert.deepEqual(
    seen,
    [...ram.addresses()].filter((at) => !lost.has(at)),
  );
  assert.deepEqual(partialBytes(memory, PAGE_SIZE, PAGE_SIZE + 9), {
    bytes: ram.read(PAGE_SIZE, PAGE_SIZE + 9),
    missing: 0,
  });
});
