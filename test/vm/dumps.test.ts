import assert from "node:assert/strict";
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PAGE_SIZE } from "../../src/base/address.ts";
import { elfNotes } from "../../src/formats/elf.ts";
import { parseElfHeader, parseSegment, PT_NOTE } from "../../src/formats/elf-core.ts";
import { openKernel } from "../../src/linux/discovery/open-kernel.ts";
import type { DumpMemory } from "../../src/memory/dump-memory.ts";
import { openDump } from "../../src/memory/open-dump.ts";
import { pcLayout } from "../../src/memory/ranges.ts";
import type { RamBlock } from "../../src/memory/ranges.ts";
import { avmlBlock, elfCoreHead, limeBlock } from "../fixtures/dump-writers.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { command } from "./harness/command.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** A stopped guest's RAM file, read as the oracle. */
class RamFile implements Disposable {
  readonly blocks: readonly RamBlock[];
  readonly #fd: number;

  constructor(guest: Guest, lowSize: number) {
    const path = guest.ramPath ?? assert.fail("the guest's RAM is a file");
    this.#fd = openSync(path, "r");
    this.blocks = pcLayout(statSync(path).size, lowSize);
  }

  /** The file's bytes for that stretch of a block. */
  read(block: RamBlock, within: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    assert.equal(readSync(this.#fd, bytes, 0, length, block.offset + within), length);
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

type Comparison = { same: number; missing: number; different: string[] };

/** Compares each page of RAM, or each that lies in [from, to), with what the dump shows. */
function compare(dump: DumpMemory, ram: RamFile, from = 0, to = Infinity): Comparison {
  const result: Comparison = { same: 0, missing: 0, different: [] };
  for (const block of ram.blocks) {
    const end = Math.min(block.start + block.size, to);
    for (let start = Math.max(block.start, from); start < end; start += MIB) {
      const length = Math.min(MIB, end - start);
      const expected = ram.read(block, start - block.start, length);
      const shown = dump.bytes(start, length);
      if (shown !== undefined && expected.equals(shown)) result.same += length / PAGE_SIZE;
      else comparePages(dump, start, expected, result);
    }
  }
  return result;
}

function comparePages(dump: DumpMemory, start: number, expected: Buffer, result: Comparison): void {
  for (let at = 0; at < expected.length; at += PAGE_SIZE) {
    const offset = dump.offsetOf(start + at);
    if (offset < 0) result.missing++;
    else if (expected.compare(dump.u8, offset, offset + PAGE_SIZE, at, at + PAGE_SIZE) === 0) {
      result.same++;
    } else result.different.push(`0x${(start + at).toString(16)}`);
  }
}

function assertWhole(dump: DumpMemory, ram: RamFile): void {
  const { same, missing, different } = compare(dump, ram);
  assert.deepEqual(different, []);
  assert.equal(missing, 0);
  assert.equal(same, ram.blocks.reduce((sum, { size }) => sum + size, 0) / PAGE_SIZE);
  assert.equal(dump.damagedPages, 0);
}

async function dumpGuest(
  guest: Guest,
  path: string,
  options: Record<string, unknown> = {},
): Promise<string> {
  await guest.qmp("dump-guest-memory", { paging: false, protocol: `file:${path}`, ...options });
  return path;
}

/** The kdump formats that this QEMU was built with. */
async function kdumpFormats(guest: Guest): Promise<string[]> {
  const capability = (await guest.qmp("query-dump-guest-memory-capability")) as {
    formats: string[];
  };
  return capability.formats.filter((format) => format.startsWith("kdump-"));
}

/** The bytes of the first note segment of an ELF core. */
function notesOf(path: string): Buffer {
  const fd = openSync(path, "r");
  const read = (at: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, at);
    return bytes;
  };
  try {
    const header = parseElfHeader(read(0, 64));
    assert.ok(typeof header !== "string");
    const { at, size, count } = header.programHeaders;
    const table = read(at, size * count);
    for (let index = 0; index < count; index++) {
      const segment = parseSegment(table, index * size, header.bits);
      if (segment.type === PT_NOTE) return read(segment.offset, segment.fileSize);
    }
    return assert.fail("no notes");
  } finally {
    closeSync(fd);
  }
}

/** Writes RAM into one file, block by block of at most `step` bytes. */
function writeBlocks(
  path: string,
  ram: RamFile,
  step: number,
  write: (start: number, bytes: Buffer) => readonly Uint8Array[],
  head?: Buffer,
): string {
  const fd = openSync(path, "w");
  try {
    if (head !== undefined) writeSync(fd, head);
    for (const block of ram.blocks) {
      for (let at = 0; at < block.size; at += step) {
        const bytes = ram.read(block, at, Math.min(step, block.size - at));
        for (const part of write(block.start + at, bytes)) writeSync(fd, part);
      }
    }
  } finally {
    closeSync(fd);
  }
  return path;
}

test("dumps of a q35 guest hold each page of its RAM file", async (t) => {
  await using guest = await bootTiny({
    kernel: await kernel({ release: "bookworm", flavour: "cloud" }),
    ram: "file",
    cpus: 2,
    modules: ["qemu_fw_cfg"],
    qemu: ["-device", "vmcoreinfo"],
  });
  const release = (await guest.run("uname -r")).trim();
  const vmcoreinfo = (await guest.run("cat /sys/kernel/vmcoreinfo")).trim().split(/\s+/);
  await guest.qmp("stop");
  using ram = new RamFile(guest, 512 * MIB);
  using folder = new TemporaryFolder();
  const elf = await dumpGuest(guest, join(folder.path, "elf"));

  await t.test("ELF, with the registers and VMCOREINFO of the stopped guest", async () => {
    using dump = openDump(elf);
    assert.equal(dump.kind, "elf-core");
    assertWhole(dump, ram);
    const shown = await guest.hmp("info registers -a");
    const expected = [...shown.matchAll(/CR3=(\w+) CR4=(\w+)/g)].map(([, cr3, cr4]) => ({
      cr3: BigInt(`0x${cr3}`),
      cr4: BigInt(`0x${cr4}`),
    }));
    const found = dump.notes.cpus.map(({ control }) => ({ cr3: control?.cr3, cr4: control?.cr4 }));
    assert.deepEqual(found, expected);
    assert.equal(expected.length, 2);
    const rips = [...shown.matchAll(/RIP=(\w+)/g)].map(([, rip]) => BigInt(`0x${rip}`));
    assert.deepEqual(
      dump.notes.cpus.map(({ registers }) => registers["rip"]),
      rips,
    );
    assert.match(dump.notes.vmcoreinfo ?? "", new RegExp(`^OSRELEASE=${release}$`, "m"));
    const [address, size] = vmcoreinfo.map((word) => Number.parseInt(word, 16));
    const [note] = elfNotes(dump.bytes(address, size) ?? new Uint8Array(0));
    assert.equal(Buffer.from(note.data).toString(), dump.notes.vmcoreinfo);
    // The ROM at the top of 4 GiB is no RAM, but QEMU dumps it too: the reset vector jumps far.
    const reset = dump.bytes(0xfffffff0, 5) ?? new Uint8Array(0);
    const words = /fffffff0: (.*)/.exec(await guest.hmp("xp /5bx 0xfffffff0"))?.[1];
    assert.equal(words?.replaceAll(/0x|\s/g, ""), Buffer.from(reset).toString("hex"));
    assert.equal(openKernel(dump).identity.release, release);
  });

  await t.test("ELF with paging, where segments repeat", async () => {
    using dump = openDump(await dumpGuest(guest, join(folder.path, "paging"), { paging: true }));
    const { same, missing, different } = compare(dump, ram);
    assert.deepEqual(different, []);
    // QEMU leaves out what the guest has not mapped: here what its firmware keeps for itself.
    assert.ok(missing < 1024 && same > 130_000, `${missing} pages are missing`);
    assert.equal(openKernel(dump).identity.release, release);
  });

  await t.test("every kdump form of this QEMU", async (t) => {
    const formats = await kdumpFormats(guest);
    assert.ok(formats.includes("kdump-zlib"));
    for (const format of formats) {
      using dump = openDump(await dumpGuest(guest, join(folder.path, format), { format }));
      assert.equal(dump.kind, "kdump");
      assertWhole(dump, ram);
      assert.equal(dump.notes.cpus.length, 2);
      assert.match(dump.notes.vmcoreinfo ?? "", /SYMBOL\(swapper_pg_dir\)/);
      const populated = dump.populated().reduce((sum, { size }) => sum + size, 0);
      assert.ok(populated < 400 * MIB, "zero pages are known without decoding");
      assert.equal(openKernel(dump).identity.release, release);
      t.diagnostic(`${format}: ${populated / MIB} MiB are not zero`);
    }
  });

  await t.test("LiME and AVML", () => {
    const lime = writeBlocks(join(folder.path, "lime"), ram, GIB, limeBlock);
    const avml = writeBlocks(join(folder.path, "avml"), ram, 16 * MIB, avmlBlock);
    for (const [kind, path] of [
      ["lime", lime],
      ["avml", avml],
    ]) {
      using dump = openDump(path);
      assert.equal(dump.kind, kind);
      assertWhole(dump, ram);
      assert.equal(openKernel(dump).identity.release, release);
    }
  });

  await t.test("a raw image, and the RAM file that QEMU still holds", () => {
    using dump = openDump(writeBlocks(join(folder.path, "raw"), ram, MIB, (_, bytes) => [bytes]));
    assert.equal(dump.kind, "raw");
    assertWhole(dump, ram);
    assert.throws(() => openDump(guest.ramPath ?? ""), {
      code: "KVMSEC_DUMP_BEING_WRITTEN",
      hint: new RegExp(`pid:${guest.pid}`),
    });
  });

  await t.test("what makedumpfile makes of it", async (t) => {
    // makedumpfile wants the program headers right behind the ELF header, as kexec has them.
    const head = elfCoreHead(ram.blocks, { notes: notesOf(elf) });
    const core = writeBlocks(join(folder.path, "core"), ram, MIB, (_, bytes) => [bytes], head);
    await assertMakedumpfile(t, folder.path, core, ram, release);
  });
});

async function assertMakedumpfile(
  t: { diagnostic: (text: string) => void },
  home: string,
  core: string,
  ram: RamFile,
  release: string,
): Promise<void> {
  const pages = ram.blocks.reduce((sum, { size }) => sum + size, 0) / PAGE_SIZE;
  const variants: [string[], "whole" | "filtered"][] = [
    [["-c", "-d", "0"], "whole"],
    [["-l", "-d", "0"], "whole"],
    [["-l", "-d", "1"], "whole"],
    [["-E", "-d", "0"], "whole"],
    [["-c", "-d", "31"], "filtered"],
    [["-E", "-d", "31"], "filtered"],
  ];
  for (const [index, [args, extent]] of variants.entries()) {
    const path = join(home, `makedumpfile-${index}`);
    await command("makedumpfile", [...args, core, path]);
    using dump = openDump(path);
    const name = `makedumpfile ${args.join(" ")}`;
    if (extent === "whole") assertWhole(dump, ram);
    else {
      const { same, missing, different } = compare(dump, ram);
      assert.deepEqual(different, [], name);
      assert.ok(same > 1000 && missing > 1000, `${name}: ${same} pages, ${missing} missing`);
      assert.equal(dump.excludedPages, missing, name);
    }
    assert.match(dump.notes.vmcoreinfo ?? "", new RegExp(`^OSRELEASE=${release}$`, "m"));
    assert.equal(openKernel(dump).identity.release, release, name);
    t.diagnostic(`${name}: ${compare(dump, ram).same} of ${pages} pages`);
  }
  const zeros = openDump(join(home, "makedumpfile-4"), { zeroExcluded: true });
  assert.equal(compare(zeros, ram).missing, 0);
  zeros[Symbol.dispose]();

  for (const kind of ["-l", "-E"]) {
    const flat = join(home, `flat${kind}`);
    await command("sh", ["-c", `makedumpfile -F -d 0 ${kind} ${core} > ${flat}`]);
    using dump = openDump(flat);
    assertWhole(dump, ram);
  }
  const [first, ...parts] = ["a", "b", "c"].map((part) => join(home, `split-${part}`));
  await command("makedumpfile", ["-l", "-d", "0", "--split", core, first, ...parts]);
  using split = openDump(first, { parts });
  assertWhole(split, ram);
}

test("a pc guest with most of its RAM above the 4-GiB hole", async () => {
  const lowSize = 256 * MIB;
  await using guest = await bootTiny({
    kernel: await kernel({ release: "trixie", flavour: "cloud" }),
    machine: "pc",
    ram: "memfd",
    cpu: "max,la57=off",
    qemu: ["-machine", "max-ram-below-4g=256M"],
  });
  const release = (await guest.run("uname -r")).trim();
  await guest.qmp("stop");
  using ram = new RamFile(guest, lowSize);
  assert.equal(ram.blocks[1]?.start, 4 * GIB);
  using folder = new TemporaryFolder();
  const path = (name: string): string => join(folder.path, name);
  const files = [
    await dumpGuest(guest, path("elf")),
    await dumpGuest(guest, path("zlib"), { format: "kdump-zlib" }),
    writeBlocks(path("lime"), ram, GIB, limeBlock),
  ];
  for (const file of files) {
    using dump = openDump(file);
    assertWhole(dump, ram);
    assert.equal(openKernel(dump).identity.release, release);
  }
  const raw = writeBlocks(path("raw"), ram, MIB, (_, bytes) => [bytes]);
  using collapsed = openDump(raw, { lowSize });
  assertWhole(collapsed, ram);
  using paging = openDump(await dumpGuest(guest, path("paging"), { paging: true }));
  assert.deepEqual(compare(paging, ram).different, []);
});

for (const { machine, lowSize } of [
  { machine: "q35", lowSize: 2 * GIB },
  { machine: "pc", lowSize: 3 * GIB },
] as const) {
  test(`a ${machine} guest of 6 GiB, around both sides of the hole`, async () => {
    await using guest = await bootTiny({
      kernel: await kernel({ release: "bookworm", flavour: "cloud" }),
      machine,
      memory: "6G",
      ram: "file",
    });
    const release = (await guest.run("uname -r")).trim();
    await guest.qmp("stop");
    using ram = new RamFile(guest, lowSize);
    using folder = new TemporaryFolder();
    const [begin, end] = [lowSize - 64 * MIB, 4 * GIB + 64 * MIB];
    const window = { begin, length: end - begin };
    using dump = openDump(await dumpGuest(guest, join(folder.path, "elf"), window));
    const { same, missing, different } = compare(dump, ram, begin, end);
    assert.deepEqual({ same, missing, different }, { same: 32_768, missing: 0, different: [] });
    assert.equal(dump.offsetOf(begin - 1), -1);
    assert.equal(dump.offsetOf(end), -1);

    using raw = openDump(guest.ramPath ?? "", { lowSize, salvage: true });
    assert.deepEqual(
      raw.ranges,
      ram.blocks.map(({ start, size }) => ({ start, size })),
    );
    assert.deepEqual(compare(raw, ram, begin, end).different, []);
    const populated = raw.populated().reduce((sum, { size }) => sum + size, 0);
    assert.ok(populated < 2 * GIB, `${populated / MIB} MiB are populated`);
    assert.equal(openKernel(raw).identity.release, release);
  });
}
