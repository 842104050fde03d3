import assert from "node:assert/strict";
import { closeSync, openSync, writeSync } from "node:fs";
import { test } from "node:test";
import { findKallsyms } from "../../src/formats/kallsyms.ts";
import { openKernel } from "../../src/linux/discovery/open-kernel.ts";
import type { Kernel } from "../../src/linux/kernel.ts";
import { attach } from "../../src/vm/guest.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const MIB_2 = 0x20_0000;
const LIED_ABOUT = ["sys_call_table", "modules", "tcp_hashinfo"];
/** Present, writable, accessed, dirty, large (Intel SDM 3, table 4-17); the same for a table. */
const LARGE = 0xe3n;
const TABLE = 0x63n;

/** The bytes of a symbol's stretch of the image. */
function part(found: Kernel, from: string, to: string): Buffer {
  const start = found.symbol(from);
  return Buffer.from(found.space.bytes(start, found.symbol(to) - start) ?? []);
}

function physicalOf(found: Kernel, symbol: string): number {
  return found.symbol(symbol) - found.image.virtual + found.image.physical;
}

/** Puts what a user of the guest can: pages and notes that look like the kernel's. */
async function plantHints(guest: Guest, found: Kernel): Promise<void> {
  const level3 = Buffer.from(found.memory.bytes(found.image.level3, 4096) ?? []);
  await guest.put("/tmp/level3", level3);
  const note = "OSRELEASE=9.9.9-forged\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82000000\n";
  await guest.put("/tmp/vmcoreinfo", `VMCOREINFO\0${note}KERNELOFFSET=1000000\n`);
  const btf = part(found, "__start_BTF", "__stop_BTF");
  for (let at = btf.indexOf("task_struct\0"); at >= 0; at = btf.indexOf("task_struct\0", at + 1)) {
    btf.write("kcat_struct", at);
  }
  await guest.put("/tmp/btf", btf);
  await guest.put("/tmp/banner", found.identity.banner.replace(/version \d/, "version 9"));
}

/** The lowest stretch of memory that the guest has never touched, so that nothing of it is lost. */
function untouched({ memory, image }: Kernel): number {
  const taken = memory.populated?.() ?? assert.fail("a RAM file tells what was touched");
  const end = (memory.ranges[0]?.size ?? 0) - image.size;
  for (let at = MIB_2; at <= end; at += MIB_2) {
    const free = ({ start, size }: { start: number; size: number }): boolean =>
      start >= at + image.size || start + size <= at;
    if (taken.every(free)) return at;
  }
  return assert.fail("no room for a second image");
}

/**
 * A second kernel image that is right in itself: the real one's copy somewhere else, with tables
 * that lead to the copy and a banner of its own.
 */
function forgeImage(guest: Guest, found: Kernel): number {
  const { image, memory } = found;
  const forged = untouched(found);
  const bytes = Buffer.from(memory.bytes(image.physical, image.size) ?? assert.fail("the image"));
  const inCopy = (physical: number): number => physical - image.physical;
  const level2 = physicalOf(found, "level2_kernel_pgt");
  const first = (image.virtual + 0x8000_0000) / MIB_2;
  for (let step = 0; step < image.size / MIB_2; step++) {
    const entry = BigInt(forged + step * MIB_2) | LARGE;
    bytes.writeBigUInt64LE(entry, inCopy(level2) + (first + step) * 8);
  }
  const move = (table: number, index: number, to: number): void => {
    bytes.writeBigUInt64LE(BigInt(forged + inCopy(to)) | TABLE, inCopy(table) + index * 8);
  };
  move(image.level3, 510, level2);
  move(physicalOf(found, "init_top_pgt"), 511, image.level3);
  bytes.write("9", bytes.indexOf(found.identity.banner) + "Linux version ".length);
  const fd = openSync(guest.ramPath ?? assert.fail("the RAM is a file"), "r+");
  writeSync(fd, bytes, 0, bytes.length, memory.offsetOf(forged));
  closeSync(fd);
  return forged;
}

test("forged hints and a forged kernel do not lead astray", async (t) => {
  using folder = new TemporaryFolder();
  process.env["KVMSEC_HOME"] = folder.path;
  await using guest = await bootTiny({
    kernel: await kernel({ release: "bookworm", flavour: "cloud" }),
    cpu: "max,la57=off",
  });
  using real = await attach(`pid:${guest.pid}`, { noCache: true });
  const { release } = real.kernel.identity;

  await t.test("what a user of the guest puts into memory is passed over", async () => {
    await plantHints(guest, real.kernel);
    using found = await attach(`pid:${guest.pid}`, { noCache: true });
    assert.deepEqual(found.kernel.image, real.kernel.image);
    assert.equal(found.kernel.identity.release, release);
    assert.deepEqual(found.kernel.warnings, []);
    assert.equal(
      found.kernel.offset("task_struct", "comm"),
      real.kernel.offset("task_struct", "comm"),
    );
  });

  await t.test(
    "a kernel is called booting when it says so and has no process, not before",
    async () => {
      await guest.qmp("stop");
      using editor = new RamEditor(guest, real.kernel);
      const tasks =
        real.kernel.requireSymbol("init_task") + real.kernel.offset("task_struct", "tasks");
      const hide = (): (() => void) => editor.writePointer(tasks, tasks);
      const claim = (): (() => void) =>
        editor.write(real.kernel.requireSymbol("system_state"), Buffer.alloc(4));
      for (const forge of [hide, claim]) {
        const undo = forge();
        assert.equal(openKernel(real.memory).identity.release, release);
        undo();
      }
      hide();
      claim();
      assert.throws(() => openKernel(real.memory), { code: "KVMSEC_KERNEL_BOOTING", exit: 3 });
    },
  );

  await t.test("a second image that is right in itself: told, and decided by CR3", async (t) => {
    await guest.qmp("stop");
    const forged = forgeImage(guest, real.kernel);
    const alone = openKernel(real.memory);
    assert.match(alone.warnings.join(), /^2 kernels lie in this memory/);
    assert.ok(alone.warnings.join().includes(`0x${forged.toString(16)}`), "the forgery is seen");
    t.diagnostic(`without the processors: ${alone.identity.release}`);
    for (const noCache of [true, false, false]) {
      using found = await attach(`pid:${guest.pid}`, { noCache });
      assert.deepEqual(found.kernel.image, real.kernel.image);
      assert.equal(found.kernel.identity.release, release);
      assert.deepEqual(found.kernel.warnings, []);
    }
  });

  await t.test(
    "a table of symbols that lies, inside the image: passed over, or refused",
    async () => {
      using editor = new RamEditor(guest, real.kernel);
      const copy = forgeSymbols(real.kernel, editor);
      const found = openKernel(real.memory);
      for (const name of ["sys_call_table", "init_task", "modules"]) {
        assert.equal(found.symbol(name), real.kernel.symbol(name), name);
      }
      // One that lies about what is constant too is as good as the kernel's: neither is believed,
      // and the other image is not shown in its place either.
      copy.claimRodata();
      assert.match(openKernel(real.memory).warnings.join(), /another kernel .* 2 of 2 tables fit/);
      await assert.rejects(attach(`pid:${guest.pid}`, { noCache: true }), {
        code: "KVMSEC_SYMBOLS_NOT_FOUND",
        message: /2 of 2 tables fit the image/,
      });
    },
  );
});

/**
 * A copy of the kernel's table of symbols in what was freed after boot, which tells other places for
 * some of them. On 6.1 the table is in one piece from the offsets to token_index.
 */
function forgeSymbols(found: Kernel, editor: RamEditor): { claimRodata: () => void } {
  const { image, memory } = found;
  const bytes = memory.bytes(image.physical, image.size) ?? assert.fail("the image");
  const result = findKallsyms(bytes, image.virtual);
  assert.ok(result.ok);
  const { offsets, base, tokenIndex } = result.candidates[0].layout;
  const copy = Buffer.from(bytes.subarray(offsets, tokenIndex + 512));
  const target = found.symbol("__init_begin");
  assert.ok(target + copy.length < found.symbol("__init_end"), "there is room for a copy");
  // As CONFIG_KALLSYMS_ABSOLUTE_PERCPU has what is not per-CPU (scripts/kallsyms.c).
  const stored = (address: number): number => base - 1 - address;
  const move = (name: string, to: number): void => {
    const value = stored(found.symbol(name));
    let moved = 0;
    for (let at = 0; at < found.symbols.size * 4; at += 4) {
      if (copy.readInt32LE(at) !== value) continue;
      copy.writeInt32LE(stored(to), at);
      moved++;
    }
    assert.ok(moved > 0, name);
  };
  for (const name of LIED_ABOUT) move(name, found.symbol(name) + 64);
  editor.write(target, copy);
  return {
    claimRodata() {
      move("__end_rodata", found.symbol("__init_end"));
      editor.write(target, copy);
    },
  };
}
