import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import type { KernelFiles } from "../../src/files/kernel-files.ts";
import { Modules } from "../../src/linux/module.ts";
import { attach } from "../../src/vm/guest.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { kvmsec, refusal } from "./command-line.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const IDS = "kernel-text,kernel-rodata,module-text";

type Checked = {
  readonly checks: { id: string; status: string; reason: string | null }[];
  readonly findings: { check: string; title: string }[];
  readonly kernelFile: { from: string; sha256: string } | null;
};

/**
 * What was written is in place after the first sync, but QEMU keeps changed tables of the image to
 * itself until the guest flushes again: the second does.
 */
const SETTLE = "sync && date > /mnt/.now && sync";

/** Every other block of a file is taken out again, until a tree is needed to tell where the others are. */
const PUNCHES = Array.from({ length: 600 }, (_, index) => `-c "fpunch ${index * 8192} 4096"`);
const XFS = `
  mkfs.xfs -q /dev/vdb && mount /dev/vdb /mnt || exit 1
  head -c 5000000 /dev/urandom > /mnt/pieces && sync
  xfs_io ${PUNCHES.join(" ")} /mnt/pieces && sha256sum < /mnt/pieces > /etc/sum
  umount /mnt`;

/** A volume of three pieces on two disks, filled nearly to its end; and two others. */
const LVM = `
  lvm() { command lvm "$@" --config 'activation { udev_sync=0 udev_rules=0 } backup { backup=0 archive=0 }'; }
  lvm pvcreate -y /dev/vdb /dev/vdc
  lvm vgcreate -s 1M vg-0 /dev/vdb /dev/vdc
  lvm lvcreate -y -Wn -L 12M -n home vg-0 /dev/vdb
  lvm lvcreate -y -Wn -L 4M -n swap vg-0 /dev/vdb
  lvm lvextend -L 24M vg-0/home /dev/vdb
  lvm lvextend -L 40M vg-0/home /dev/vdc
  lvm lvcreate -y -an -Wn -Zn -i 2 -L 8M -n striped vg-0
  head -c 30000000 /dev/urandom > /etc/noise
  mke2fs -q -t ext4 /dev/mapper/vg--0-home && mount /dev/mapper/vg--0-home /mnt || exit 1
  cp /etc/noise /mnt/noise && sync && umount /mnt`;

function textOf(files: KernelFiles): string {
  return "textFile" in files ? files.textFile.from : files.textMissing;
}

test("a guest that GRUB booted from its own disk is looked at with the files on it", async (t) => {
  const kernel = await debianKernel({ release: "trixie", flavour: "cloud" });
  using folder = new TemporaryFolder();
  const disks = ["first", "second"].map((name) => {
    const file = folder.file(name, "");
    truncateSync(file, 320 * 2 ** 20);
    return { file, format: "raw" } as const;
  });
  await using guest = await bootTiny({
    kernel,
    fromDisk: true,
    ram: "file",
    modules: ["ext4", "xfs", "nf_tables", "dm_mod"],
    disks,
    tools: ["lvm", "mke2fs", "mkfs.xfs", "xfs_io"],
  });
  const target = `pid:${guest.pid}`;
  const check = async (...options: string[]) => {
    const words = ["check", ...options, "--only", IDS, "--json"];
    const { status, stdout, stderr } = await kvmsec(folder.path, ...words);
    assert.ok(stdout !== "", stderr);
    return { status, ...(JSON.parse(stdout) as Checked) };
  };

  await t.test("kernel and modules are compared without being told where they are", async () => {
    const { status, checks, findings } = await check(target);
    assert.deepEqual(findings, []);
    assert.deepEqual(
      checks.map((one) => [one.status, one.reason]),
      checks.map(() => ["pass", null]),
    );
    assert.deepEqual([status, checks.length], [0, 3]);
  });

  await t.test("each module's file comes from the disk, by its build id", async () => {
    using attached = await attach(target);
    const files = findKernelFiles(attached);
    assert.match(textOf(files), /^partition 2 of .*disk\.qcow2: \/vmlinuz-6\.12/);
    const loaded = [...new Modules(attached.kernel).all(attached.kernel.budget())];
    assert.ok(loaded.length > 1);
    for (const { name, buildId } of loaded) {
      const found = files.moduleFile(name, buildId!);
      assert.match("from" in found ? found.from : found.missing, /\.ko(\.xz)?$/, name);
    }
    const replaced = files.moduleFile("nf_tables", "00".repeat(20));
    assert.match("missing" in replaced ? replaced.missing : "", /it has build id [0-9a-f]{40}/);
  });

  await t.test("a change of the kernel's code is found", async () => {
    using attached = await attach(target);
    using editor = new RamEditor(guest, attached.kernel);
    const symbol = (name: string) => attached.kernel.requireSymbol(name);
    const undo = editor.writeBranch(symbol("tcp4_seq_show"), symbol("commit_creds"));
    const { status, findings } = await check(target);
    undo();
    assert.equal(status, 1);
    assert.match(findings[0]?.title ?? "", /tcp4_seq_show/);
  });

  await t.test("a dump is compared with a copy of the disk", async () => {
    const dump = join(folder.path, "dump");
    await guest.qmp("dump-guest-memory", { paging: false, protocol: `file:${dump}` });
    const without = await check(`file:${dump}`);
    assert.equal(without.status, 4);
    assert.match(without.checks[0]?.reason ?? "", /no kernel file/);
    const disk = ["--disk", guest.paths.bootDisk];
    const { status, findings, kernelFile } = await check(`file:${dump}`, ...disk);
    assert.deepEqual([status, findings], [0, []]);
    const sha256 = createHash("sha256").update(readFileSync(kernel.vmlinuz)).digest("hex");
    assert.equal(kernelFile?.sha256, sha256);
  });

  await t.test("a capture of it is swept with the files of its disk", async () => {
    const words = ["capture", `qmp:${guest.qmpPath}`, "-o", join(folder.path, "case"), "--json"];
    const { status, stdout, stderr } = await kvmsec(folder.path, ...words);
    assert.equal(status, 0, stderr);
    const found = readFileSync(join(folder.path, "case", "findings.json"), "utf8");
    const { checks } = JSON.parse(found) as Checked;
    const statuses = new Map(checks.map(({ id, status: verdict }) => [id, verdict]));
    assert.deepEqual(
      IDS.split(",").map((id) => statuses.get(id)),
      ["pass", "pass", "pass"],
    );
    assert.match(stdout, /"verdict":"clean"/);
  });

  await t.test(
    "a file that the guest has read is found in its page cache, without a disk",
    async () => {
      const dump = join(folder.path, "cached");
      await guest.run("mount /dev/vda2 /mnt && cat /mnt/vmlinuz-* > /dev/null");
      await guest.qmp("dump-guest-memory", { paging: false, protocol: `file:${dump}` });
      await guest.run("umount /mnt");
      using attached = await attach(`file:${dump}`);
      const files = findKernelFiles(attached);
      assert.equal(textOf(files), `the guest's page cache: /mnt/vmlinuz-${kernel.version}`);
      const nf = [...new Modules(attached.kernel).all(attached.kernel.budget())].find(
        ({ name }) => name === "nf_tables",
      );
      const found = files.moduleFile("nf_tables", nf!.buildId!);
      assert.match("from" in found ? found.from : found.missing, /^the guest's page cache: /);
    },
  );

  await t.test("people look into the disk by path and by volume", async () => {
    const disk = (...words: string[]) => kvmsec(folder.path, "disk", ...words);
    const { status, stdout } = await disk("list", target, "--json");
    const { volumes } = JSON.parse(stdout) as { volumes: { id: string; kind: string }[] };
    assert.deepEqual(
      [status, volumes.map(({ id, kind }) => [id, kind])],
      [
        0,
        [
          ["0.1", null],
          ["0.2", "ext"],
          ["0.3", "ext"],
        ],
      ],
    );
    await guest.run("mount /dev/vda3 /mnt && ln -s ../etc/hostname /mnt/etc/link");
    await guest.run(SETTLE);
    const modules = `/usr/lib/modules/${kernel.version}`;
    const listed = JSON.parse((await disk("ls", target, `/mnt${modules}`, "--json")).stdout) as {
      files: { name: string; size: number; mode: string }[];
    };
    const expected = await guest.run(`cd /mnt${modules} && stat -c '%n %s %a' *`);
    const seen = listed.files.map(({ name, size, mode }) => `${name} ${size} ${mode.slice(-3)}`);
    assert.deepEqual(seen.toSorted(), expected.trim().split("\n").toSorted());
    assert.equal((await disk("cat", target, "0.3:/etc/link")).stdout, "from-disk\n");
    const copy = join(folder.path, "modules.dep");
    assert.equal(
      (await disk("extract", target, `0.3:${modules}/modules.dep`, "-o", copy)).status,
      0,
    );
    assert.equal(
      readFileSync(copy, "utf8"),
      readFileSync(join(kernel.modules, "modules.dep"), "utf8"),
    );
    assert.equal(refusal(await disk("cat", target, "0.3:/etc/nothing")), "2 KVMSEC_NO_FILE");
    assert.equal(refusal(await disk("ls", target, "0.9:/")), "2 KVMSEC_NO_VOLUME");
    await guest.run("umount /mnt");
  });

  await t.test("a file in many pieces on XFS is read", async () => {
    await guest.run(XFS, { timeout: 120_000 });
    const copy = join(folder.path, "pieces");
    const words = ["disk", "extract", target, "1:/pieces", "-o", copy];
    const { status, stderr } = await kvmsec(folder.path, ...words);
    assert.equal(status, 0, stderr);
    const sum = createHash("sha256").update(readFileSync(copy)).digest("hex");
    assert.equal(sum, (await guest.get("/etc/sum")).toString().slice(0, 64));
  });

  await t.test("volumes of LVM2 are put together, over two disks", async () => {
    await guest.run(LVM, { timeout: 120_000 });
    const { stdout } = await kvmsec(folder.path, "disk", "list", target, "--json");
    const { volumes } = JSON.parse(stdout) as {
      volumes: { id: string; size: number; unreadable: string | null }[];
    };
    assert.deepEqual(
      volumes.slice(-3).map(({ id, size, unreadable }) => [id, size, unreadable]),
      [
        ["vg-0/home", 40 * 2 ** 20, null],
        ["vg-0/swap", 4 * 2 ** 20, null],
        ["vg-0/striped", 0, "it is an LVM volume of type striped, which is not read"],
      ],
    );
    const expected = await guest.run("sha256sum < /etc/noise");
    const copy = join(folder.path, "noise");
    const words = ["disk", "extract", target, "vg-0/home:/noise", "-o", copy];
    assert.equal((await kvmsec(folder.path, ...words)).status, 0);
    const sum = createHash("sha256").update(readFileSync(copy)).digest("hex");
    assert.equal(sum, expected.slice(0, 64));
  });

  await t.test("what the guest does with the file is seen while it runs", async () => {
    using attached = await attach(target);
    const file = `/mnt/vmlinuz-${kernel.version}`;
    await guest.run(`mount /dev/vda2 /mnt && mv ${file} /mnt/vmlinuz-old && ${SETTLE}`);
    assert.match(textOf(findKernelFiles(attached)), /: \/vmlinuz-old$/);
    // Zeros in the midst of it, though its build id may stay.
    await guest.run("dd if=/dev/zero of=/mnt/vmlinuz-old bs=4096 count=64 seek=1400 conv=notrunc");
    await guest.run(SETTLE);
    assert.match(textOf(findKernelFiles(attached)), /vmlinuz-old: the zstd payload is damaged/);
    await guest.run(`rm /mnt/vmlinuz-old && ${SETTLE} && umount /mnt`);
    assert.match(textOf(findKernelFiles(attached)), /no kernel file of this guest was found/);
  });
});
