import assert from "node:assert/strict";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { kvmsec } from "./command-line.ts";
import { bareMachine } from "./harness/bare-machine.ts";
import { command } from "./harness/command.ts";
import { kernel32, memtest } from "./harness/other-systems.ts";

const MIB = 2 ** 20;
const GRUB = "/usr/lib/grub/i386-pc";

/** What a command says of what is no 64-bit Linux: a code, a hint, status 3, and not one row. */
async function assertNoKernel(home: string, target: string, hint: RegExp): Promise<void> {
  for (const words of [["ps"], ["info", "--json"], ["check"]]) {
    const { status, stdout, stderr } = await kvmsec(home, ...words, target);
    assert.match(stderr, /^kvmsec: KVMSEC_KERNEL_NOT_FOUND: No 64-bit Linux kernel/m);
    assert.match(stderr, hint);
    assert.equal(status, 3);
    assert.equal(stdout, "");
  }
}

/** What a machine shows on its serial port, once that says so. */
async function shows(path: string, words: RegExp): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (existsSync(path) && words.test(readFileSync(path, "latin1"))) return;
    await sleep(100);
  }
  assert.fail(`not shown: ${words}; but: ${readFileSync(path, "latin1").slice(-2000)}`);
}

/** A disk whose first sector the firmware runs. */
function bootDisk(folder: TemporaryFolder, name: string, content: Uint8Array): string[] {
  const file = folder.file(name, content);
  truncateSync(file, MIB * 2);
  return ["-drive", `file=${file},format=raw,if=ide`];
}

async function grubDisk(folder: TemporaryFolder): Promise<string[]> {
  const core = join(folder.path, "core");
  const config = folder.file("grub.cfg", "serial\nterminal_output serial\necho grub is here\n");
  const modules = ["biosdisk", "serial", "terminal", "echo", "sleep"];
  await command("grub-mkimage", ["-O", "i386-pc", "-o", core, "-c", config, "-p", "/", ...modules]);
  return bootDisk(
    folder,
    "grub",
    Buffer.concat([readFileSync(`${GRUB}/boot.img`), readFileSync(core)]),
  );
}

test("machines that run something else", async (t) => {
  using folder = new TemporaryFolder();
  const serial = join(folder.path, "serial");
  const console = ["-serial", `file:${serial}`];
  /** A loop in real mode (jmp to itself), with the mark of a boot sector. */
  const realMode = Buffer.alloc(512);
  realMode.write("ebfe", 0, "hex");
  realMode.write("55aa", 510, "hex");
  const nothing = /may still be in its firmware or boot loader/;
  type Case = readonly [string, () => Promise<string[]>, shown: RegExp | undefined, hint: RegExp];
  const cases: readonly Case[] = [
    ["an empty disk", async () => bootDisk(folder, "empty", Buffer.alloc(1)), undefined, nothing],
    ["a program in real mode", async () => bootDisk(folder, "real", realMode), undefined, nothing],
    ["iPXE", async () => ["-nic", "user,model=virtio"], undefined, nothing],
    ["GRUB", () => grubDisk(folder), /grub is here/, nothing],
    [
      "Memtest86+",
      async () => ["-kernel", await memtest(), "-append", "console=ttyS0,115200"],
      /Memtest86\+/,
      nothing,
    ],
    [
      "a 32-bit Linux",
      async () => ["-kernel", await kernel32(), "-append", "console=ttyS0"],
      /Kernel panic - not syncing/,
      /A banner of Linux 6\.1\.\S+-686 lies in it: that is a 32-bit kernel/,
    ],
  ];
  for (const [name, args, shown, hint] of cases) {
    await t.test(name, async () => {
      writeFileSync(serial, "");
      await using machine = await bareMachine("kvmsec-other", [...(await args()), ...console]);
      if (shown === undefined) await sleep(3000);
      else await shows(serial, shown);
      await assertNoKernel(folder.path, `pid:${machine.pid}`, hint);
    });
  }
});

test("an image of another system's memory", async () => {
  using folder = new TemporaryFolder();
  const image = Buffer.alloc(8 * MIB);
  // A PE header as the Windows kernel has it, on a page of its own.
  image.write("MZ", 3 * MIB, "latin1");
  image.writeUInt32LE(0x100, 3 * MIB + 0x3c);
  image.write("PE\0\0d\x86", 3 * MIB + 0x100, "latin1");
  image.write("\\SystemRoot\\system32\\ntoskrnl.exe", 5 * MIB, "utf16le");
  image.write("ntkrnlmp.pdb", 5 * MIB + 4096, "latin1");
  const path = folder.file("memory", image);
  await assertNoKernel(folder.path, `file:${path}`, /what Windows leaves in memory/);
});

test("a guest of another architecture is named", async (t) => {
  const qemu = ["aarch64", "arm"]
    .map((each) => `/usr/bin/qemu-system-${each}`)
    .find((path) => existsSync(path));
  if (qemu === undefined) return t.skip("no QEMU of another architecture is installed");
  using folder = new TemporaryFolder();
  await using machine = await bareMachine("kvmsec-arm", [], qemu);
  const { status, stdout, stderr } = await kvmsec(folder.path, "ps", `pid:${machine.pid}`);
  assert.match(stderr, /^kvmsec: KVMSEC_ARCHITECTURE: .*another architecture: (aarch64|arm)\.$/m);
  assert.deepEqual([status, stdout], [3, ""]);
  const listed = await kvmsec(folder.path, "targets");
  assert.match(listed.stdout, /kvmsec-arm/);
});
