import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { PAGE_SIZE } from "../../../src/base/address.ts";
import { KvmsecError } from "../../../src/base/errors.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import type { OpenDumpOptions } from "../../../src/memory/open-dump.ts";
import {
  avml,
  cpuNotes,
  elfCore,
  Fields,
  flattened,
  kdump,
  lime,
  note,
  raw,
} from "../../fixtures/dump-writers.ts";
import { randomNumbers, randomRam, SparseRam } from "../../fixtures/sparse-ram.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const MIB = 2 ** 20;
const ram = randomRam([{ start: 0, size: MIB }], 7);

/** What opening these bytes fails with. */
function failure(content: Uint8Array | string, options?: OpenDumpOptions): KvmsecError {
  using folder = new TemporaryFolder();
  return failureOf(folder.file("dump", content), options);
}

function failureOf(path: string, options?: OpenDumpOptions): KvmsecError {
  try {
    openDump(path, options)[Symbol.dispose]();
  } catch (error) {
    assert.ok(error instanceof KvmsecError, String(error));
    assert.ok((error.hint ?? "").length > 10, `${error.code} has a hint`);
    assert.match(error.message, /^[A-Z/].*\.$/);
    return error;
  }
  return assert.fail("it was opened");
}

test("a path that is no readable file is named as what it is", () => {
  using folder = new TemporaryFolder();
  assert.equal(failureOf(join(folder.path, "none")).code, "KVMSEC_DUMP_MISSING");
  assert.equal(failureOf(folder.path).code, "KVMSEC_DUMP_NOT_A_FILE");
  assert.equal(failureOf("/dev/zero").code, "KVMSEC_DUMP_NOT_A_FILE");
  const fifo = join(folder.path, "fifo");
  execFileSync("mkfifo", [fifo]);
  assert.equal(failureOf(fifo).code, "KVMSEC_DUMP_NOT_A_FILE");
  assert.equal(failureOf(folder.file("empty", "")).code, "KVMSEC_DUMP_EMPTY");
  assert.equal(failureOf(join(folder.file("file", "x"), "below")).code, "KVMSEC_DUMP_MISSING");
});

test("files that are something else are told apart", () => {
  const random = Buffer.alloc(2 * MIB);
  const next = randomNumbers(3);
  for (let at = 0; at < random.length; at += 4) random.writeUInt32LE(next(), at);
  const disk = Buffer.alloc(2 * MIB);
  disk.set([0xeb, 0x63, 0x90]);
  disk.writeUInt16LE(0xaa55, 510);
  const program = elfCore(ram);
  program.writeUInt16LE(2, 16);
  const foreign: [Uint8Array | string, RegExp][] = [
    ["MZ" + "\0".repeat(2 * MIB), /Windows or EFI/],
    ["PAGEDU64" + "\0".repeat(2 * MIB), /Windows crash dump/],
    [Buffer.concat([Buffer.from("514649fb", "hex"), Buffer.alloc(MIB)]), /qcow2/],
    [gzipSync(elfCore(ram)), /gzip-compressed/],
    ["some words\n".repeat(200_000), /text file/],
    [random, /random/],
    [disk, /disk image/],
    [Buffer.alloc(MIB / 2), /smaller than/],
    [program, /ELF program/],
  ];
  for (const [content, message] of foreign) {
    const error = failure(content);
    assert.equal(error.code, "KVMSEC_DUMP_FOREIGN", error.message);
    assert.match(error.message, message);
  }
});

test("a process's core dump is no guest memory", () => {
  const core = elfCore(ram, {
    loads: [
      { physical: 0, size: MIB / 2 },
      { physical: 0, size: MIB },
    ],
  });
  assert.match(failure(core).message, /core dump of a process/);
});

test("other machines' dumps are refused by name", () => {
  const arm = elfCore(ram);
  arm.writeUInt16LE(183, 18);
  assert.equal(failure(arm).code, "KVMSEC_DUMP_UNSUPPORTED");
  const kdumpOfArm = kdump(ram, { codec: "zlib" });
  kdumpOfArm.write("aarch64\0", 12 + 65 * 4);
  assert.match(failure(kdumpOfArm).message, /aarch64/);
  const old = kdump(ram, { codec: "zlib" });
  old.write("DISKDUMP");
  assert.equal(failure(old).code, "KVMSEC_DUMP_UNSUPPORTED");
});

test("a dump that is cut anywhere is refused, or read as far as it goes", () => {
  const whole: [string, Buffer][] = [
    ["elf", elfCore(ram)],
    ["kdump", kdump(ram, { codec: "lzo" })],
    ["flattened", flattened(kdump(ram, { codec: "snappy" }))],
    ["lime", lime(ram)],
    ["avml", avml(ram, 16 * PAGE_SIZE)],
  ];
  for (const [name, file] of whole) {
    for (const share of [0.02, 0.3, 0.7, 0.999]) {
      const cut = file.subarray(0, Math.floor(file.length * share));
      const error = failure(cut);
      assert.match(
        error.code,
        /^KVMSEC_DUMP_(TRUNCATED|DAMAGED)$/,
        `${name} ${share}: ${error.code}`,
      );
      if (share > 0.5) assert.equal(error.code, "KVMSEC_DUMP_TRUNCATED", `${name} ${share}`);
    }
  }
  assert.equal(failure(raw(ram).subarray(0, MIB - 5), { raw: true }).code, "KVMSEC_DUMP_TRUNCATED");
});

test("salvage reads what a cut dump holds and faults on the rest", () => {
  using folder = new TemporaryFolder();
  for (const file of [
    elfCore(ram),
    lime(ram),
    kdump(ram, { codec: "zlib" }),
    avml(ram, 4 * PAGE_SIZE),
  ]) {
    const path = folder.file("dump", file.subarray(0, Math.floor(file.length * 0.6)));
    using memory = openDump(path, { salvage: true });
    let good = 0;
    for (const address of ram.addresses()) {
      const at = memory.offsetOf(address);
      if (at < 0) continue;
      good++;
      assert.deepEqual(memory.u8.slice(at, at + PAGE_SIZE), ram.read(address, PAGE_SIZE));
    }
    assert.ok(good > 50 && good < 256, `${memory.kind}: ${good} pages`);
  }
});

test("a file that someone is writing is not taken for a whole dump", () => {
  using folder = new TemporaryFolder();
  const file = elfCore(ram);
  const path = folder.file("dump", file.subarray(0, MIB / 2));
  const fd = openSync(path, "r+");
  try {
    const error = failureOf(path);
    assert.equal(error.code, "KVMSEC_DUMP_BEING_WRITTEN");
    assert.match(error.message, new RegExp(`process ${process.pid} `));
    writeSync(fd, raw(ram), 0, MIB, 0);
    truncateSync(path, MIB);
    assert.equal(failureOf(path).code, "KVMSEC_DUMP_BEING_WRITTEN");
    openDump(path, { salvage: true })[Symbol.dispose]();
  } finally {
    closeSync(fd);
  }
  openDump(path)[Symbol.dispose]();
});

test("a file that shrinks while it is read turns into faults", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("dump", elfCore(ram));
  using memory = openDump(path);
  assert.ok(memory.offsetOf(0) >= 0);
  truncateSync(path, MIB / 2);
  const last = MIB - PAGE_SIZE;
  assert.equal(memory.offsetOf(last), -1);
  assert.equal(memory.bytes(last - MIB / 2, MIB / 2), undefined);
  assert.ok(memory.damagedPages >= 1);
  assert.ok(memory.offsetOf(PAGE_SIZE) >= 0);
});

test("a damaged page faults, is counted once, and its neighbours stay readable", () => {
  using folder = new TemporaryFolder();
  for (const codec of ["zlib", "lzo", "snappy", "zstd"] as const) {
    const file = kdump(ram, { codec });
    // Bitmaps of one block each; the descriptors of frames 0 to 255 follow.
    const descriptors = 4 * PAGE_SIZE;
    const victim = [...ram.addresses()].find(
      (at) => file.readUInt32LE(descriptors + (at / PAGE_SIZE) * 24 + 12) !== 0,
    )!;
    const descriptor = descriptors + (victim / PAGE_SIZE) * 24;
    const at = Number(file.readBigUInt64LE(descriptor));
    const size = file.readUInt32LE(descriptor + 8);
    // Cut to half, which no decoder takes for whole.
    file.writeUInt32LE(Math.floor(size / 2), descriptor + 8);
    file.fill(0xff, at, at + 3);
    using memory = openDump(folder.file("dump", file));
    assert.equal(memory.offsetOf(victim), -1);
    assert.equal(memory.offsetOf(victim + 8), -1);
    assert.equal(memory.bytes(victim, 16), undefined);
    assert.equal(memory.bytes(0, MIB), undefined);
    assert.equal(memory.damagedPages, 1, codec);
    const neighbour = victim === 0 ? PAGE_SIZE : victim - PAGE_SIZE;
    assert.deepEqual(memory.bytes(neighbour, PAGE_SIZE), ram.read(neighbour, PAGE_SIZE));
  }
});

test("an AVML chunk whose checksum differs faults as a whole", () => {
  using folder = new TemporaryFolder();
  const noise = randomRam([{ start: 0, size: MIB }], 11);
  const file = avml(noise);
  // The first chunk begins behind the block's header and the stream identifier.
  file[32 + 10 + 4] ^= 1;
  using memory = openDump(folder.file("dump", file));
  assert.equal(memory.offsetOf(0), -1);
  assert.equal(memory.offsetOf(15 * PAGE_SIZE), -1);
  assert.deepEqual(memory.bytes(2 ** 16, PAGE_SIZE), noise.read(2 ** 16, PAGE_SIZE));
  assert.equal(memory.damagedPages, 2);
});

test("pages that were left out fault, unless they are known or told to be zero", () => {
  using folder = new TemporaryFolder();
  const excluded = (at: number): boolean => at >= MIB / 2;
  const path = folder.file("dump", kdump(ram, { codec: "lzo", dumpLevel: 31, excluded }));
  {
    using memory = openDump(path);
    assert.equal(memory.excludedPages, 128);
    assert.deepEqual(memory.ranges, [{ start: 0, size: MIB / 2 }]);
    assert.equal(memory.offsetOf(MIB / 2), -1);
    assert.equal(memory.damagedPages, 0);
  }
  using memory = openDump(path, { zeroExcluded: true });
  assert.deepEqual(memory.bytes(MIB / 2, MIB / 2), new Uint8Array(MIB / 2));
});

test("the parts of a split dump make one memory, in any order", () => {
  using folder = new TemporaryFolder();
  const part = (start: number, end: number): Buffer =>
    kdump(ram, { codec: "snappy", split: { start, end } });
  const low = folder.file("low", part(0, 100));
  const middle = folder.file("middle", flattened(part(100, 201)));
  const high = folder.file("high", part(201, 256));
  using memory = openDump(middle, { parts: [high, low] });
  assert.deepEqual(memory.ranges, ram.ranges);
  assert.deepEqual(memory.bytes(0, MIB), ram.read(0, MIB));
  using one = openDump(middle);
  assert.deepEqual(one.ranges, [{ start: 100 * PAGE_SIZE, size: 101 * PAGE_SIZE }]);
  assert.equal(failureOf(low, { parts: [low] }).code, "KVMSEC_DUMP_OPTIONS");
  assert.equal(failureOf(low, { parts: [folder.path] }).code, "KVMSEC_DUMP_NOT_A_FILE");
});

test("notes tell registers and VMCOREINFO as hints", () => {
  using folder = new TemporaryFolder();
  const cpus = [0, 1].map((cpu) => cpuNotes(cpu, 0x1234000n + BigInt(cpu), 0x1020n));
  const info = "OSRELEASE=6.1.0\nSYMBOL(swapper_pg_dir)=ffffffff82810000\n";
  const notes = Buffer.concat([
    ...cpus.map(({ status }) => status),
    ...cpus.map(({ state }) => state),
    note("VMCOREINFO", 0, Buffer.from(info)),
  ]);
  for (const file of [elfCore(ram, { notes }), kdump(ram, { codec: "zlib", notes })]) {
    using memory = openDump(folder.file("dump", file));
    assert.equal(memory.notes.vmcoreinfo, info);
    assert.equal(memory.notes.cpus.length, 2);
    const [, second] = memory.notes.cpus;
    assert.equal(second.control?.cr3, 0x1234001n);
    assert.equal(second.control?.cr4, 0x1020n);
    assert.equal(second.registers["rip"], 0xffffffff81000001n);
    assert.equal(second.registers["gsBase"], 0xffff888000001000n);
    assert.equal(second.segments?.idt.base, 0xfffffe0000000000n);
    assert.equal(second.segments?.idt.limit, 0xfff);
  }
  const own = kdump(ram, { codec: "zlib", vmcoreinfo: info });
  using memory = openDump(folder.file("dump", own));
  assert.equal(memory.notes.vmcoreinfo, info);
});

test("headers that claim the impossible are refused without an allocation of that size", () => {
  const segments = elfCore(ram, { extended: true });
  segments.writeUInt32LE(0xffffffff, 64 + 2 * 56 + 44);
  assert.equal(failure(segments).code, "KVMSEC_DUMP_DAMAGED");
  const bitmap = kdump(ram, { codec: "zlib" });
  bitmap.writeUInt32LE(0xffffffff, 424 + 12);
  assert.match(failure(bitmap).code, /DAMAGED|TRUNCATED/);
  const piece = flattened(kdump(ram, { codec: "zlib" }));
  piece.writeBigInt64BE(2n ** 60n, 4096);
  assert.equal(failure(piece).code, "KVMSEC_DUMP_DAMAGED");
  const block = new Fields(64)
    .u32(0, 0x4c694d45)
    .u32(4, 1)
    .u64(16, 2 ** 50).buffer;
  assert.equal(failure(block).code, "KVMSEC_DUMP_TRUNCATED");
});

test("a sparse file's holes are neither read nor listed as populated", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("dump", new Uint8Array(64 * 1024).fill(1));
  truncateSync(path, 2 ** 40);
  using memory = openDump(path);
  assert.deepEqual(memory.ranges, [{ start: 0, size: 2 ** 40 }]);
  const listed = memory.populated().reduce((sum, { size }) => sum + size, 0);
  assert.ok(listed <= MIB, `${listed} bytes are listed`);
  const at = memory.offsetOf(2 ** 39);
  assert.deepEqual(memory.u8.slice(at, at + 8), new Uint8Array(8));
});

test("zero stretches of compressed dumps are not listed as populated", () => {
  using folder = new TemporaryFolder();
  const idle = new SparseRam([{ start: 0, size: 8 * MIB }]);
  for (const at of [0, 3 * MIB, 8 * MIB - PAGE_SIZE]) idle.page(at).fill(at === 0 ? 1 : 2, 5, 90);
  for (const file of [avml(idle), avml(idle, MIB), kdump(idle, { codec: "zlib" })]) {
    using memory = openDump(folder.file("dump", file));
    const listed = memory.populated();
    assert.ok(listed.reduce((sum, { size }) => sum + size, 0) <= MIB, memory.kind);
    for (const at of [0, 3 * MIB, 8 * MIB - PAGE_SIZE]) {
      assert.ok(listed.some(({ start, size }) => at >= start && at < start + size));
    }
    assert.deepEqual(memory.bytes(0, 8 * MIB), idle.read(0, 8 * MIB));
    assert.deepEqual(memory.bytes(3 * MIB, 4096), idle.read(3 * MIB, 4096));
    assert.deepEqual(memory.bytes(4 * MIB, 4096), new Uint8Array(4096));
  }
});

test("options that do not fit are usage errors", () => {
  assert.equal(failure(elfCore(ram), { lowSize: MIB }).exit, 2);
  assert.equal(failure(raw(ram), { lowSize: 100 }).exit, 2);
  assert.equal(failure(raw(ram), { raw: true, parts: ["x"] }).exit, 2);
});
