import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import fc from "fast-check";
import { eachRecord, PCAP_HEADER } from "../../../src/formats/pcap.ts";
import { openHome } from "../../../src/vm/home.ts";
import {
  dropOldest,
  newPacketFile,
  packetFiles,
  packetState,
  writePacketState,
} from "../../../src/vm/packet-files.ts";
import { processIdentity } from "../../../src/vm/process-identity.ts";
import { vmPaths } from "../../../src/vm/vm-state.ts";

const header = Buffer.from("d4c3b2a10200040000000000000000000000010001000000", "hex");

function pathsOf(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-packets-"));
  t.after(() => rmSync(root, { recursive: true }));
  const paths = vmPaths(openHome({ KVMSEC_HOME: root }), "web");
  mkdirSync(paths.folder, { recursive: true });
  return paths;
}

/** A file of numbered packets. */
function content(first: number, sizes: readonly number[]): Buffer {
  const records = sizes.map((size, index) => {
    const record = Buffer.alloc(16 + size);
    record.writeUInt32LE(first + index, 0);
    record.writeUInt32LE(size, 8);
    record.writeUInt32LE(size, 12);
    return record;
  });
  return Buffer.concat([header, ...records]);
}

function numbersIn(path: string): number[] {
  const bytes = readFileSync(path).subarray(PCAP_HEADER);
  const numbers: number[] = [];
  const { used } = eachRecord(bytes, ({ micros }) => numbers.push(micros / 1e6));
  assert.equal(used, bytes.length);
  return numbers;
}

test("the last packets stay, without a gap, within the bound, whatever the sizes of the files", (t) => {
  const paths = pathsOf(t);
  const sizes = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(fc.array(sizes, { minLength: 1, maxLength: 6 }), (files) => {
      rmSync(paths.packets, { recursive: true, force: true });
      let next = 0;
      for (const one of files) {
        const { path } = newPacketFile(paths);
        writeFileSync(path, content(next, one));
        utimesSync(path, 1e9, 1e9 + next);
        next += one.length;
      }
      const before = packetFiles(paths);
      const keep = 40_000;
      dropOldest(paths, keep);
      const left = packetFiles(paths);
      const newest = left.at(-1)!;
      const bytes = left.reduce((sum, file) => sum + file.bytes, 0);
      assert.ok(bytes <= Math.max(keep, newest.bytes), `${bytes}`);
      const numbers = left.flatMap(({ path }) => numbersIn(path));
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => next - numbers.length + index),
      );
      const total = before.reduce((sum, file) => sum + file.bytes, 0);
      if (total > keep) assert.ok(bytes >= keep / 4 || newest.bytes >= keep / 4, `${bytes}`);
      else assert.ok(bytes >= Math.min(total, keep / 2));
      for (const { path, number } of left) {
        const first = before.findIndex((file) => file.number === number);
        const passed = files.slice(0, first).reduce((sum, one) => sum + one.length, 0);
        assert.equal(statSync(path).mtimeMs / 1000, 1e9 + passed);
      }
    }),
    { numRuns: 60 },
  );
});

test("a file is its owner's alone, and a state of another process or of nonsense is none", (t) => {
  const paths = pathsOf(t);
  assert.equal(statSync(newPacketFile(paths).path).mode & 0o777, 0o600);
  const run = { pid: process.pid, startTime: 1, bootId: "none" };
  assert.equal(packetState(paths, run), undefined);
  writeFileSync(paths.packetState, "{");
  assert.equal(packetState(paths, run), undefined);
  writePacketState(paths, { keepBytes: 1, by: "owner", run });
  assert.equal(packetState(paths, run), undefined);
  const own = processIdentity(process.pid)!;
  writePacketState(paths, { keepBytes: 1, by: "owner", run: own });
  assert.equal(packetState(paths, own)?.keepBytes, 1);
  assert.equal(packetState(paths, run), undefined);
});
