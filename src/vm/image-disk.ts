import { rmSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./run-tool.ts";

/**
 * Unpacks the archive and packs it again as an ext4 file system, with the newest kernel and its
 * initrd beside it. Runs as root or under fakeroot, which remembers the owners that it may not set.
 * $1: work folder, $2: bytes of the disk.
 */
const PACK = `set -eu
cd "$1"
mkdir tree
tar --extract --numeric-owner --xattrs --xattrs-include='*' --directory=tree --file=root.tar
rm root.tar
# An empty one is filled at each guest's first boot, without the rites of a first boot.
: > tree/etc/machine-id
release=$(ls tree/lib/modules | sort -V | tail -n 1)
cp "tree/boot/vmlinuz-$release" vmlinuz
cp "tree/boot/initrd.img-$release" initrd.img
printf '%s' "$release" > release
awk '/^Package: /{p=$2} /^Version: /{print p, $2}' tree/var/lib/dpkg/status > packages.txt
# What its owner may not read, as /etc/shadow may be, an ordinary user cannot copy. fakeroot goes on
# to tell the right modes.
[ -z "\${FAKEROOTKEY:-}" ] || env -u LD_PRELOAD chmod -R u+rwX tree
truncate -s "$2" disk.raw
mke2fs -q -t ext4 -L root -m 1 -E root_owner=0:0,lazy_itable_init=0,nodiscard -d tree disk.raw
rm -rf tree
`;

/** Makes disk.raw, vmlinuz, initrd.img, release and packages.txt out of root.tar, in that folder. */
export async function packFileSystem(
  folder: string,
  size: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const shell = ["sh", "-c", PACK, "pack", folder, String(size)];
  const isRoot = process.geteuid?.() === 0;
  const [name, ...args] = isRoot ? shell : ["fakeroot", ...shell];
  await runTool(name!, args, { signal });
}

/**
 * Makes disk.qcow2 out of disk.raw, zstd-compressed: a third of the size, and boots as fast, since
 * a cluster is unpacked once and then in the guest's page cache.
 */
export async function compressDisk(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const raw = join(folder, "disk.raw");
  const options = ["-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"];
  await runTool("qemu-img", ["convert", ...options, raw, join(folder, "disk.qcow2")], { signal });
  rmSync(raw);
}
