import assert from "node:assert/strict";
import { guestText } from "../../../src/base/guest-text.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { files } from "../../../src/views/files.ts";
import type { FileRow } from "../../../src/views/files.ts";
import type { Guest } from "../harness/guest.ts";
import type { Population } from "../harness/populate.ts";
import { agree, readAll } from "./agree.ts";
import { readProc } from "./proc.ts";

/** The agent speaks while we look. */
const AGENT = 1;

/** The leaders' files: those of threads that went their own way /proc shows elsewhere. */
function rows(kernel: Kernel): FileRow[] {
  return readAll(files, kernel, {})
    .filter(({ pid, tid, comm }) => pid === tid && comm !== "leaderless" && pid !== AGENT)
    .toSorted((a, b) => a.pid - b.pid || a.fd - b.fd);
}

/** Descriptors with where they lead, position, flags and mount. */
export async function openFilesAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  await agree(
    async () => {
      const proc = await readProc(guest, "fd/", "fdinfo/");
      return proc.pids
        .filter((pid) => pid !== AGENT)
        .flatMap((pid) =>
          [...proc.folder(`${pid}/fd/`).keys()]
            .map(Number)
            .toSorted((a, b) => a - b)
            .map((fd) => {
              const info = (key: string): string =>
                proc.words(`${pid}/fdinfo/${fd}`, key)?.[0] ?? "";
              const path = guestText(proc.bytes(`${pid}/fd/${fd}`) ?? Buffer.alloc(0));
              return `${pid} ${fd} ${path} ${info("pos")} ${info("flags")} ${info("mnt_id")}`;
            }),
        );
    },
    () =>
      rows(kernel).map(
        ({ pid, fd, path, position, flags, mountId }) =>
          `${pid} ${fd} ${path} ${position} 0${flags.toString(8)} ${mountId}`,
      ),
    "open files",
  );
}

/** Type, device and inode as stat(2) has them. */
export async function inodesAreThoseOfStat(guest: Guest, kernel: Kernel): Promise<void> {
  const types = ["", "fifo", "char", "", "directory", "", "block", "", "file", "", "link", ""];
  types.push("socket");
  const stat = await guest.run(
    "stat -L -c '%n %f %D %i' /proc/[2-9]*/fd/* /proc/1?*/fd/* 2>&1 || :",
  );
  const told = new Map(
    [...stat.matchAll(/^\/proc\/(\d+)\/fd\/(\d+) (\S+) (\S+) (\d+)$/gm)].map(
      ([, pid, fd, mode, device, inode]) => [
        `${pid}/${fd}`,
        { type: types[Number.parseInt(mode, 16) >>> 12], device: userDevice(device), inode },
      ],
    ),
  );
  let compared = 0;
  for (const row of rows(kernel)) {
    const expected = told.get(`${row.pid}/${row.fd}`);
    if (expected === undefined) continue;
    compared++;
    const title = `${row.pid} ${row.fd} ${row.path}`;
    assert.equal(String(row.inode), expected.inode, title);
    assert.equal(row.device, expected.device, title);
    if (row.type !== "anon_inode") assert.equal(row.type, expected.type, title);
    assert.equal(row.type === "anon_inode", row.path?.startsWith("anon_inode:"), title);
  }
  assert.ok(compared > 700, `${compared} files`);
}

/** huge_encode_dev (include/linux/kdev_t.h) back to what /proc/PID/maps shows. */
function userDevice(hexadecimal: string): string {
  const device = Number.parseInt(hexadecimal, 16);
  const minor = (device & 0xff) | ((device >>> 12) & 0xf_ff00);
  const major = (device >>> 8) & 0xfff;
  return [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":");
}

/** A thread that unshared its files is not overlooked. */
export async function threadsOwnFilesAreShown(
  guest: Guest,
  kernel: Kernel,
  population: Population,
): Promise<void> {
  const pid = population.get("unshared_files") ?? -1;
  const found = readAll(files, kernel, { pid: [pid] });
  const own = found.filter(({ tid }) => tid !== pid);
  const [tid] = own.map((row) => row.tid);
  const links = await guest.run(
    `cd /proc/${pid}/task/${tid}/fd; for f in *; do echo $f $(readlink $f); done`,
  );
  assert.deepEqual(
    own.map(({ fd, path }) => `${fd} ${path}`),
    links.trim().split("\n"),
  );
  assert.ok(own.some(({ path }) => path === "/dev/full"));
}
