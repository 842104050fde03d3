import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { copyPieces } from "../../../src/linux/file-copy.ts";
import type { FileCopy } from "../../../src/linux/file-copy.ts";
import { PageCache } from "../../../src/linux/page-cache.ts";
import { findCachedFile, pagecache } from "../../../src/views/pagecache.ts";
import type { Guest } from "../harness/guest.ts";
import { readAll } from "./read-all.ts";

const PAGE = 4096;

/** Files of every kind: in memory, on a disk, sparse, in huge pages where there are any, with odd names. */
const MAKE_FILES = `
  mke2fs -F /dev/vda > /dev/null && mkdir -p /disk /huge
  mount -t ext4 /dev/vda /disk
  mount -t tmpfs -o huge=always tmpfs /huge || mount -t tmpfs tmpfs /huge
  mkdir -p /disk/a/b
  head -c 3000000 /dev/urandom > /disk/a/b/random
  seq 1 200000 > /disk/seq
  printf hello > /disk/small; ln /disk/small '/disk/other name'
  truncate -s 5000001 /tmp/sparse; printf end | dd of=/tmp/sparse bs=1 seek=4000000 conv=notrunc
  head -c 9000000 /dev/urandom > /huge/random
  : > /disk/empty
  sync
`;
const FILES =
  "/disk/a/b/random /disk/seq /disk/small /tmp/sparse /huge/random /usr/bin/busybox /usr/bin/bash";

type Extracted = FileCopy & { readonly bytes: Uint8Array };

function extract(kernel: Kernel, path: string): Extracted {
  kernel.refresh();
  const file = findCachedFile(kernel, path, assert.fail);
  const bytes = new Uint8Array(file.size);
  const pieces = new PageCache(kernel).pieces(file.address, kernel.budget(), assert.fail);
  const copy = copyPieces(pieces, (offset, part) => bytes.set(part, offset));
  assert.equal(copy.size, file.size, path);
  return { ...copy, bytes };
}

/** Whole files, by the guest's own checksums. */
export async function filesHaveTheirContent(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.run(MAKE_FILES);
  const sums = await guest.run(`cat ${FILES} > /dev/null; sha256sum ${FILES}`);
  for (const [, sum, path] of sums.matchAll(/^(\S+) {2}(.*)$/gm)) {
    const copy = extract(kernel, path);
    assert.equal(copy.complete, true, `${path}: ${JSON.stringify(copy.holes)}`);
    assert.equal(createHash("sha256").update(copy.bytes).digest("hex"), sum, path);
  }
  const sparse = extract(kernel, "/tmp/sparse");
  // Older kernels fill a hole that is read through a pipe.
  assert.ok(sparse.copied >= PAGE && sparse.copied <= sparse.size);
  assert.ok(sparse.holes.every(({ reason }) => reason === "sparse"));
}

/** What the list says of each file is what stat says, and all its names are found. */
export async function cachedFilesAreListed(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = readAll(pagecache, kernel);
  const told = await guest.run(`stat -c '%n %s %i %d' ${FILES}`);
  for (const line of told.trim().split("\n")) {
    const [path, size, inode, device] = line.split(" ");
    const row = rows.find((each) => each.path === path || each.links.includes(path));
    assert.ok(row !== undefined, path);
    const [major, minor] = row.device.split(":").map((part) => Number.parseInt(part, 16));
    assert.deepEqual([row.size, row.inode], [Number(size), Number(inode)], path);
    assert.equal(major * 256 + minor, Number(device), path);
    assert.equal(row.totalPages, Math.ceil(row.size / PAGE), path);
    assert.equal(row.type, "file");
  }
  const small = rows.find(({ path, links }) => [path, ...links].includes("/disk/other name"));
  assert.deepEqual([small?.path, ...(small?.links ?? [])].toSorted(), [
    "/disk/other name",
    "/disk/small",
  ]);
  assert.ok(!rows.some(({ path }) => path === "/disk/empty"));
}

/** The list can be narrowed to a mount, a path, or what a process uses. */
export async function cachedFilesAreSelected(guest: Guest, kernel: Kernel): Promise<void> {
  const paths = (options: Parameters<typeof readAll<never, { pid: number[] }>>[2] & object) =>
    readAll(pagecache, kernel, options).flatMap(({ path, links }) => [path, ...links]);
  const mounted = paths({ mount: "/huge" } as object);
  assert.deepEqual(mounted, ["/huge/random"]);
  const below = paths({ path: "/disk/a/" } as object);
  assert.deepEqual(below, ["/disk/a/b/random"]);
  assert.throws(() => paths({ mount: "/disk/a" } as object), { code: "KVMSEC_NOT_MOUNTED" });
  const pid = await guest.run(`
    sleep 10000 < /disk/seq > /dev/null 2>&1 & echo $!
    until grep -q sleep /proc/$!/comm; do sleep 0.1; done
  `);
  const used = paths({ pid: [Number(pid)] });
  assert.ok(used.includes("/disk/seq"));
  assert.ok(used.includes("/usr/bin/busybox"));
  assert.ok(!used.includes("/disk/a/b/random"));
  await guest.run(`kill ${pid}`);
}

/** A file that is cached in part: what is there is right, what is not is told, byte by byte. */
export async function holesOfFilesAreTold(guest: Guest, kernel: Kernel): Promise<void> {
  const whole = await guest.get("/disk/seq");
  await guest.run(`
    sync; echo 3 > /proc/sys/vm/drop_caches
    dd if=/disk/seq of=/dev/null bs=4096 skip=100 count=1 status=none
  `);
  const copy = extract(kernel, "/disk/seq");
  assert.equal(copy.complete, false);
  assert.ok(copy.copied >= PAGE && copy.copied < whole.length, `${copy.copied} bytes`);
  const missing = copy.holes.reduce((sum, { length }) => sum + length, 0);
  assert.equal(missing + copy.copied, whole.length);
  for (const { reason } of copy.holes) assert.match(reason, /^(absent|evicted)$/);
  let at = 0;
  for (const { offset, length } of [...copy.holes, { offset: whole.length, length: 0 }]) {
    assert.ok(whole.subarray(at, offset).equals(copy.bytes.subarray(at, offset)), `from ${at}`);
    at = offset + length;
  }
  assert.throws(() => findCachedFile(kernel, "/disk/empty", assert.fail), {
    code: "KVMSEC_NOT_CACHED",
  });
}

/** Pages of a file in memory that the guest has put into its swap are told as that. */
export async function swappedPagesAreTold(guest: Guest, kernel: Kernel): Promise<void> {
  const squeezed = await guest.attempt(`
    mkswap /dev/vdb > /dev/null && swapon /dev/vdb
    mkdir /sys/fs/cgroup/squeeze 2>/dev/null
    echo +memory > /sys/fs/cgroup/cgroup.subtree_control
    cd /sys/fs/cgroup/squeeze && sh -c '
      echo $$ > cgroup.procs; head -c 4000000 /dev/urandom > /tmp/squeezed
    '
    echo 1000000 > memory.high; echo 1000000 > memory.max
    head -c 100000 /tmp/squeezed > /dev/null; cat /proc/swaps memory.current
  `);
  assert.equal(squeezed.status, 0, `${squeezed.stderr}`);
  const copy = extract(kernel, "/tmp/squeezed");
  assert.equal(copy.complete, false, `${squeezed.stdout}`);
  const reasons = new Set(copy.holes.map(({ reason }) => reason));
  assert.deepEqual(reasons, new Set(["swapped"]));
  const whole = await guest.get("/tmp/squeezed");
  let at = 0;
  for (const { offset, length } of [...copy.holes, { offset: whole.length, length: 0 }]) {
    assert.ok(whole.subarray(at, offset).equals(copy.bytes.subarray(at, offset)), `from ${at}`);
    at = offset + length;
  }
}
