import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openKernel } from "../../src/linux/discovery/open-kernel.ts";
import type { Kernel } from "../../src/linux/kernel.ts";
import { FileSymbolCache } from "../../src/vm/decode-cache.ts";
import { attach } from "../../src/vm/guest.ts";
import { locateRam } from "../../src/vm/ram-location.ts";
import { qemuProcess } from "../../src/vm/qemu-process.ts";
import { readInfo } from "../../src/views/info.ts";
import { bootMatrixGuest, guestMatrix } from "./harness/guest-matrix.ts";
import type { Guest } from "./harness/guest.ts";

for (const shape of guestMatrix("small")) {
  test(`a kernel is understood from raw memory: ${shape.name}`, async (t) => {
    await using guest = await bootMatrixGuest(shape);
    using attached = await attach(`pid:${guest.pid}`, { noCache: true });
    const { kernel } = attached;

    await t.test("it is the guest's own kernel", async () => {
      assert.equal(kernel.identity.release, (await guest.run("uname -r")).trim());
      assert.equal(kernel.identity.banner, (await guest.run("cat /proc/version")).trim());
      assert.equal(kernel.identity.levels, shape.levels);
      assert.deepEqual(kernel.warnings, []);
    });

    await t.test("its build id is the one of /sys/kernel/notes", async () => {
      const notes = (await guest.get("/sys/kernel/notes")).toString("hex");
      assert.ok(kernel.identity.buildId !== undefined);
      assert.match(notes, new RegExp(`474e5500${kernel.identity.buildId}`));
    });

    await t.test("its symbols are those of /proc/kallsyms", async () => {
      await assertSameSymbols(guest, kernel);
    });

    await t.test("its memory and processors are described", async () => {
      const info = readInfo(kernel);
      assert.equal(info.cpus, Number(await guest.run("nproc")));
      assert.equal(info.hostname, (await guest.run("uname -n")).trim());
      assert.equal(info.memory.kind, shape.hardware.ram);
      const isolated = /page tables isolation: (force )?enabled/.test(guest.console);
      assert.equal(info.paging.kpti, isolated);
      const booted = Number(/^btime (\d+)$/m.exec(await guest.run("cat /proc/stat"))?.[1]);
      assert.ok(Math.abs((info.bootTime?.getTime() ?? 0) / 1000 - booted) <= 1);
    });

    await t.test("an address of a region that its tables do not have is a fault", () => {
      const { folding, tables } = kernel.space;
      for (let index = 256n; index < 511n; index++) {
        const address = (0xfe00n + index) << 48n;
        const folded = folding.foldBig(address);
        const isMapped = shape.levels === 5 && tables.entry(tables.root, Number(index))?.low !== 0;
        if (!isMapped) assert.equal(folded, Number.NaN);
        else if (folded === folded) assert.equal(folding.unfold(folded), address);
      }
    });

    await t.test("RAM lies where QEMU's own memory map says", async () => {
      await assertLayout(guest, kernel);
    });

    await t.test("the cache gives the same symbols again", () => {
      const folder = mkdtempSync(join(tmpdir(), "kvmsec-cache-"));
      try {
        const cache = new FileSymbolCache(folder);
        openKernel(attached.memory, { cache });
        const again = openKernel(attached.memory, { cache });
        assert.deepEqual([...again.symbols], [...kernel.symbols]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  });
}

/** Every core symbol at the same address, whatever the order. */
async function assertSameSymbols(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.run("echo 0 > /proc/sys/kernel/kptr_restrict");
  const lines = (await guest.get("/proc/kallsyms")).toString("latin1").trim().split("\n");
  const theirs = lines.filter((line) => !line.includes("\t")).toSorted();
  const ours = [...kernel.symbols].map(({ address, type, name }) => {
    const digits = BigInt.asUintN(64, BigInt(address)).toString(16).padStart(16, "0");
    return `${digits} ${type} ${name}`;
  });
  assert.deepEqual(ours.toSorted(), theirs);
}

/** `info mtree -f` lists each stretch of pc.ram with its offset: compare the split. */
async function assertLayout(guest: Guest, kernel: Kernel): Promise<void> {
  const tree = await guest.hmp("info mtree -f");
  const top = Math.max(
    ...[
      ...tree.matchAll(
        /^\s+[0-9a-f]+-([0-9a-f]+) \(prio \d+, ram\): (?:ram|microvm\.ram|pc\.ram)/gm,
      ),
    ].map((match) => Number.parseInt(match[1], 16) + 1),
  );
  const last = kernel.memory.ranges.at(-1);
  assert.ok(last !== undefined);
  assert.equal(last.start + last.size, top);
  const qemu = qemuProcess(guest.pid);
  assert.ok(qemu !== undefined);
  const size = kernel.memory.ranges.reduce((sum, range) => sum + range.size, 0);
  assert.equal(locateRam(qemu).size, size);
}
