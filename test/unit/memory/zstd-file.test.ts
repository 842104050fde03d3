import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { CoreFile } from "../../../src/evidence/core-file.ts";
import { hashFile } from "../../../src/evidence/manifest.ts";
import { packFile, unpackFile } from "../../../src/evidence/packing.ts";
import { DumpFile } from "../../../src/memory/dump-file.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import { ZstdFile } from "../../../src/memory/zstd-file.ts";

const RAM = 3 * 2 ** 20 + 4096;
let scratch: string;
let plain: string;
let packed: string;
before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "kvmsec-zstd-"));
  plain = join(scratch, "memory.elf");
  packed = `${plain}.zst`;
  {
    using core = new CoreFile(plain, [{ start: 0, size: RAM, offset: 0 }]);
    core.writeHead([]);
    // Data, a hole, and data that does not shrink.
    writeSync(core.fd, Buffer.alloc(500_000, "kvmsec"), 0, 500_000, core.ramAt + 100_000);
    const noise = Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * n * 7919) >> 7));
    writeSync(core.fd, noise, 0, noise.length, core.ramAt + RAM - noise.length);
  }
  await packFile(plain, packed);
});
after(() => rmSync(scratch, { recursive: true }));

test("what was packed unpacks to the same bytes, here and with zstd itself", async () => {
  const whole = readFileSync(plain);
  const { content, stored } = await unpackFile(packed, (bytes, at) =>
    assert.ok(whole.subarray(at, at + bytes.length).equals(bytes)),
  );
  assert.deepEqual(content, await hashFile(plain));
  assert.deepEqual(stored, await hashFile(packed));
  assert.ok(stored.size < 500_000, String(stored.size));
  const out = execFileSync("zstd", ["-dc", packed], { maxBuffer: 2 ** 26 });
  assert.ok(out.equals(whole));
});

test("it is read at any place, and its holes are told", () => {
  const whole = readFileSync(plain);
  using file = ZstdFile.open(new DumpFile(packed));
  assert.ok(file !== undefined);
  assert.equal(file.size, whole.length);
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(700_000), (at, length) => {
      const target = new Uint8Array(length);
      const got = file.read(at, target);
      assert.equal(got, Math.min(length, whole.length - at));
      assert.ok(whole.subarray(at, at + got).equals(target.subarray(0, got)));
    }),
    { numRuns: 50 },
  );
  let end = 0;
  for (const extent of file.extents()) {
    assert.ok(whole.subarray(end, extent.start).every((byte) => byte === 0));
    end = extent.end;
  }
  assert.ok(file.extents().length > 1);
});

test("a packed core opens under its own name and under that of what it stands for", () => {
  const alone = join(scratch, "alone.elf");
  copyFileSync(packed, `${alone}.zst`);
  using original = openDump(plain);
  for (const path of [packed, alone]) {
    using memory = openDump(path);
    assert.deepEqual(memory.ranges, original.ranges);
    for (const at of [100_000, 700_000, RAM - 4096]) {
      assert.deepEqual(memory.bytes(at, 4096), original.bytes(at, 4096));
    }
  }
});

test("a damaged byte is a fault or the same bytes, never others", async () => {
  const whole = readFileSync(plain);
  const good = readFileSync(packed);
  const bad = join(scratch, "bad.zst");
  const chosen = fc.sample(fc.nat(good.length - 1), { numRuns: 60, seed: 7 });
  for (const at of chosen) {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 0x41;
    writeFileSync(bad, bytes);
    const { stored } = await unpackFile(bad);
    assert.notEqual(stored.sha256, (await hashFile(packed)).sha256);
    using file = ZstdFile.open(new DumpFile(bad));
    const target = new Uint8Array(whole.length);
    const got = file?.read(0, target) ?? 0;
    assert.ok(whole.subarray(0, got).equals(target.subarray(0, got)), `byte ${at}`);
  }
});

test("a stream without a seek table, or an empty file, is refused with what to do", async () => {
  const stream = join(scratch, "stream.zst");
  writeFileSync(stream, zstdCompressSync(readFileSync(plain).subarray(0, 2 ** 20)));
  assert.equal((await unpackFile(stream)).content, undefined);
  assert.throws(() => openDump(stream), { code: "KVMSEC_DUMP_FOREIGN", hint: /zstd -d/ });
  const empty = join(scratch, "empty.zst");
  closeSync(openSync(empty, "w"));
  assert.equal((await unpackFile(empty)).content, undefined);
});

test("a file of nothing but a hole takes next to nothing", async () => {
  const hole = join(scratch, "hole");
  const fd = openSync(hole, "w");
  ftruncateSync(fd, 64 * 2 ** 20);
  closeSync(fd);
  const { content } = await packFile(hole, `${hole}.zst`);
  assert.deepEqual(content, await hashFile(hole));
  assert.ok(statSync(`${hole}.zst`).size < 16_384);
});
