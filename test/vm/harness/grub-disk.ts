import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command } from "./command.ts";

export type GrubDiskOptions = {
  /** As `uname -r` says it. */
  readonly version: string;
  readonly vmlinuz: string;
  readonly initramfs: string;
  readonly append: string;
  /** The folder that is /lib/modules/VERSION. */
  readonly modules: string;
};

const MiB = 2 ** 20;
const SECTOR = 512;
const GRUB = "/usr/lib/grub/i386-pc";
/** Where boot.img and the first sector of core.img keep the sector from which they go on. */
const NEXT_SECTOR = { boot: 0x5c, core: 0x1f4 };
/** GRUB's own, /boot, and the root. */
const PARTITIONS = { grub: 1, boot: 96, root: 400 };

/**
 * Makes a disk that a BIOS boots, as Debian's installer does with a /boot of its own: a GUID
 * partition table, GRUB in its own partition, kernel and initramfs on the second, modules on the
 * third. It is a qcow2 image.
 */
export async function makeGrubDisk(disk: string, options: GrubDiskOptions): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "kvmsec-grub-"));
  try {
    const raw = join(work, "disk");
    writeFileSync(raw, "");
    truncateSync(raw, (PARTITIONS.grub + PARTITIONS.boot + PARTITIONS.root + 3) * MiB);
    const starts = await partition(raw, work);
    await installGrub(raw, work, starts[0]!, options);
    await placeFileSystem(raw, starts[1]!, PARTITIONS.boot, bootTree(work, options));
    await placeFileSystem(raw, starts[2]!, PARTITIONS.root, rootTree(work, options));
    await command("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", raw, disk]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** First bytes of the partitions. */
async function partition(raw: string, work: string): Promise<number[]> {
  const script = join(work, "script");
  const { grub, boot } = PARTITIONS;
  const bios = "21686148-6449-6E6F-744E-656564454649";
  writeFileSync(script, `label: gpt\n,${grub}M,${bios}\n,${boot}M,L\n,,L\n`);
  await command("sh", ["-c", `sfdisk --quiet "$1" < "$2"`, "sfdisk", raw, script]);
  const table = JSON.parse(await command("sfdisk", ["--json", raw])) as {
    partitiontable: { partitions: { start: number }[] };
  };
  return table.partitiontable.partitions.map(({ start }) => start * SECTOR);
}

/** What grub-install does, without a mounted disk: two sectors have to know where the next one is. */
async function installGrub(
  raw: string,
  work: string,
  start: number,
  { version, append }: GrubDiskOptions,
): Promise<void> {
  const config = join(work, "grub.cfg");
  const core = join(work, "core.img");
  writeFileSync(
    config,
    `set root=(hd0,gpt2)\nlinux /vmlinuz-${version} ${append}\ninitrd /initrd.img-${version}\nboot\n`,
  );
  const modules = ["biosdisk", "part_gpt", "ext2", "linux"];
  const format = ["-O", "i386-pc", "-p", "/grub", "-c", config, "-o", core];
  await command("grub-mkimage", [...format, ...modules]);
  const boot = readFileSync(join(GRUB, "boot.img")).subarray(0, 440);
  boot.writeBigUInt64LE(BigInt(start / SECTOR), NEXT_SECTOR.boot);
  const image = readFileSync(core);
  image.writeBigUInt64LE(BigInt(start / SECTOR + 1), NEXT_SECTOR.core);
  const fd = openSync(raw, "r+");
  writeSync(fd, boot, 0, boot.length, 0);
  writeSync(fd, image, 0, image.length, start);
  closeSync(fd);
}

function bootTree(work: string, { version, vmlinuz, initramfs }: GrubDiskOptions): string {
  const tree = join(work, "boot");
  mkdirSync(tree);
  cpSync(vmlinuz, join(tree, `vmlinuz-${version}`));
  cpSync(initramfs, join(tree, `initrd.img-${version}`));
  return tree;
}

/** With an empty /boot, and /lib as the link that it is on a merged system. */
function rootTree(work: string, { version, modules }: GrubDiskOptions): string {
  const tree = join(work, "root");
  for (const folder of ["boot", "etc", "usr/lib/modules"]) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  writeFileSync(join(tree, "etc/hostname"), "from-disk\n");
  cpSync(modules, join(tree, "usr/lib/modules", version), { recursive: true });
  return tree;
}

async function placeFileSystem(
  raw: string,
  start: number,
  size: number,
  tree: string,
): Promise<void> {
  const where = ["-E", `offset=${start},lazy_itable_init=0`];
  await command("mke2fs", ["-q", "-F", "-t", "ext4", ...where, "-d", tree, raw, `${size}M`]);
}
