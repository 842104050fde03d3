import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { mounts } from "../../../src/views/mounts.ts";
import type { Guest } from "../harness/guest.ts";
import { rowsOf, start } from "./guest.ts";

type MountJson = {
  mntns: number;
  pid: number | null;
  id: number;
  parent: number;
  root: string;
  mountpoint: string;
  fstype: string;
  source: string;
  device: string;
  options: string[];
  superOptions: string[];
  propagation: string[];
  covered: boolean;
  overlay?: { lower: string[]; upper: string; work: string } | null;
};

/** Mounts of many kinds, in the initial namespace, one that a program is in, and one that a file keeps. */
export async function makeMounts(guest: Guest): Promise<void> {
  await guest.run(`
    set -e
    mkdir -p "/mnt/a b" /mnt/bound /mnt/file /mnt/shared /mnt/kept /tmp/dir
    mount -t tmpfs -o ro,nosuid,noatime "odd source" "/mnt/a b"
    mount -t tmpfs -o nodev,noexec,nodiratime,sync other /mnt/file
    mount -t tmpfs over /mnt/file
    mount --make-shared /tmp
    mount --bind /tmp/dir /mnt/bound
    mount -t tmpfs shared /mnt/shared
    mount --make-unbindable /mnt/shared
    mount -t tmpfs kept /mnt/kept
    mount --make-private /mnt/kept
    touch /mnt/kept/ns
    unshare --mount=/mnt/kept/ns true
  `);
  await start(guest, "/usr/bin/unshare -m --propagation slave sh -c '" + inside + "'");
}

const inside = `
  mkdir -p /mnt/own /mnt/overlay /root/deep
  mount -t tmpfs own /mnt/own
  mkdir /mnt/own/upper /mnt/own/work /mnt/own/gone
  mount -t overlay layers -o lowerdir=/tmp/dir,upperdir=/mnt/own/upper,workdir=/mnt/own/work /mnt/overlay
  mount --make-shared /mnt/own
  mount --bind /mnt/own/gone /root/deep
  rmdir /mnt/own/gone
  echo ready
  exec sleep 100000
`;

/** Every namespace's mounts are what mountinfo shows to a process in it. */
export async function mountsAreThoseOfMountinfo(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = rowsOf<unknown, object, MountJson>(kernel, mounts, {});
  const pids = new Set(rows.map((row) => row.pid));
  assert.ok(pids.has(1) && pids.size >= 3);
  for (const pid of pids) {
    if (pid === null) continue;
    const text = await guest.run(`cat /proc/${pid}/mountinfo`);
    const expected = text
      .split("\n")
      .filter((line) => line !== "")
      .map(essentials);
    const found = rows.filter((row) => row.pid === pid);
    const shown = new Set(text.split("\n").map((line) => Number(line.split(" ")[0])));
    // What the process's own root covers is not shown to it.
    const hidden = found.filter((row) => !shown.has(row.id));
    for (const { mountpoint, covered } of hidden) assert.ok(mountpoint === "/" && covered);
    assert.deepEqual(found.filter((row) => shown.has(row.id)).map(mountLine), expected);
    const inum = await guest.run(`stat -L -c %i /proc/${pid}/ns/mnt`);
    assert.ok(found.every((row) => row.mntns === Number(inum)));
  }
}

/** The layers of an overlay, as they were given; null where modules have no BTF in memory. */
export function layersAreThoseMounted(kernel: Kernel): void {
  const rows = rowsOf<unknown, object, MountJson>(kernel, mounts, {});
  const overlays = rows.filter((row) => row.fstype === "overlay");
  const known = { lower: ["/tmp/dir"], upper: "/mnt/own/upper", work: "/mnt/own/work" };
  assert.deepEqual(
    overlays.map((row) => row.overlay),
    [kernel.types.has("btf_module", "btf") ? known : null],
  );
}

/** A namespace in which nobody is, kept by a bind mount of its file. */
export async function keptNamespaceIsSeen(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = rowsOf<unknown, object, MountJson>(kernel, mounts, {});
  const inum = Number(await guest.run("stat -L -c %i /mnt/kept/ns"));
  const kept = rows.filter((row) => row.mntns === inum);
  assert.ok(kept.length > 5);
  assert.ok(kept.every((row) => row.pid === null));
  const text = await guest.run("nsenter --mount=/mnt/kept/ns cat /proc/self/mountinfo");
  const expected = text
    .split("\n")
    .filter((line) => line !== "")
    .map(essentials);
  const lowest = Math.min(...expected.map((line) => Number(line.split(" ")[0])));
  assert.deepEqual(kept.filter((row) => row.id >= lowest).map(mountLine), expected);
}

/** Filesystems' own options are not told by the view. */
function essentials(line: string): string {
  const [before, after] = line.split(" - ");
  const [fstype, source, options] = after.split(" ");
  const general = options
    .split(",")
    .filter((word) => /^(rw|ro|sync|dirsync|mand|lazytime)$/.test(word));
  return unescape8(`${before} - ${fstype} ${source} ${general.join(",")}`);
}

/** mountinfo writes blanks as \\040 and the like. */
function unescape8(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function mountLine(row: MountJson): string {
  const propagation = row.propagation.map((word) => `${word} `).join("");
  return `${row.id} ${row.parent} ${row.device} ${row.root} ${row.mountpoint} ${row.options.join(",")} ${propagation}- ${row.fstype} ${row.source} ${row.superOptions.join(",")}`;
}
