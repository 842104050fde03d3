import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { PT_LOAD } from "../../src/formats/elf-program.ts";
import type { Kernel } from "../../src/linux/kernel.ts";
import { ProgramFiles } from "../../src/linux/program-file.ts";
import { attach } from "../../src/vm/guest.ts";
import { assertClean, assertFound } from "./harness/check-story.ts";
import { command } from "./harness/command.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import { helperProgram } from "./harness/helper-program.ts";
import { installIntruder, startIntruder, taskOf } from "./harness/intruder.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "cloud", cpu: "max" },
] as const;

for (const { cpu, ...wish } of guests) {
  test(`code that differs from the disk is found: ${wish.release}/${wish.flavour}`, async (t) => {
    const kernel = await debianKernel(wish);
    using disk = await diskWithProgram();
    await using guest = await bootTiny({
      kernel,
      cpu,
      ram: "file",
      modules: ["ext4"],
      disks: [{ file: disk.file, format: "raw" }],
    });
    await installIntruder(guest);
    using attached = await attach(`pid:${guest.pid}`);
    const files = findKernelFiles(attached);
    const chosen = checks.filter(({ id }) => id === "changed-file-cache");
    const look = (): Sweep => sweep(attached.kernel, chosen, files);
    await guest.run("mount /dev/vda /mnt");
    const start = "SCENARIO_READY_FD=1 setsid /mnt/program >/dev/null 2>&1 </dev/null & echo $!";
    const pid = Number(await guest.run(`${start}; sleep 0.5`));

    await t.test("a program that nobody changed", () => {
      assertClean(look());
      assert.deepEqual(look().checks[0]?.coverage, { looked: 1, of: 1 });
    });

    await t.test("a byte of its code that was changed in the page cache", (inner) => {
      using editor = new RamEditor(guest, attached.kernel);
      const physical = cachedCode(attached.kernel, pid);
      const undo = editor.writePhysical(physical + 100, Uint8Array.of(0xcc, 0xcc));
      const says = /Code of \/mnt\/program was changed in memory: 1 of its pages.*"offset":"0x/;
      assertFound(inner, { check: "changed-file-cache", says }, look);
      undo();
      assertClean(look());
    });

    await t.test(
      "a library that the guest itself writes, before and after it is on the disk",
      async () => {
        const library = await startIntruder(
          guest,
          attached.kernel,
          "temporary_library",
          "LIBRARY=/mnt/library.so /usr/sbin/intruder",
        );
        assert.deepEqual(look().findings, []);
        await guest.run("sync");
        assert.deepEqual(look().findings, []);
        const write =
          "printf '\\x90\\x90' | dd of=/mnt/library.so bs=1 seek=20000 conv=notrunc 2>&1";
        await guest.run(write);
        assert.deepEqual(look().findings, []);
        await guest.run("sync; sleep 1");
        assert.deepEqual(look().findings, []);
        await library.end();
      },
    );
  });
}

/** Where the first page of a process's program that holds nothing but code lies. */
function cachedCode(kernel: Kernel, pid: number): number {
  const task = taskOf(kernel, pid);
  const mm = kernel.reader("task_struct", "mm")(task);
  const file = kernel.reader("mm_struct", "exe_file")(mm);
  const mapping = kernel.reader("file", "f_mapping")(file);
  const programs = new ProgramFiles(kernel);
  const code = programs.of(mapping)?.parts.find((each) => each.type === PT_LOAD && each.executable);
  assert.ok(code !== undefined);
  for (let at = Math.ceil(code.offset / 4096); at * 4096 < code.offset + code.size; at++) {
    const physical = programs.cache.pageAt(mapping, at);
    if (physical > 0) return physical;
  }
  throw new Error("none of its code is cached");
}

/** An ext4 file system with one program. */
async function diskWithProgram(): Promise<{ readonly file: string } & Disposable> {
  const home = mkdtempSync(join(tmpdir(), "kvmsec-disk-"));
  const file = join(home, "disk.raw");
  const tree = join(home, "tree");
  mkdirSync(tree);
  copyFileSync(await helperProgram("intruder"), join(tree, "program"));
  await command("truncate", ["-s", "64M", file]);
  await command("mke2fs", ["-q", "-t", "ext4", "-d", tree, file]);
  return { file, [Symbol.dispose]: () => rmSync(home, { recursive: true }) };
}
