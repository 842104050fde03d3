import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { cgroups } from "../../../src/views/cgroups.ts";
import { ps } from "../../../src/views/ps.ts";
import type { Guest } from "../harness/guest.ts";
import { agree, readAll } from "./agree.ts";
import { readProc } from "./proc.ts";
import type { Proc } from "./proc.ts";

/** A container's identifier. */
const DOCKER = "0123456789abcdef".repeat(4);

/** One directory of the unified hierarchy a line: path, inode, controllers, members. */
const walk = `cd /sys/fs/cgroup; find . -type d | while read -r d; do
  echo "@$d"; stat -c %i "$d"; for f in controllers subtree_control; do echo $(cat "$d/cgroup.$f"); done
  echo "frozen $(cat "$d/cgroup.events" 2>/dev/null | sed -n 's/^frozen //p')"
  echo $(cat "$d/cgroup.procs")
done`;

/** The unified hierarchy is that of /sys/fs/cgroup. */
export async function cgroupsAreThoseOfSysfs(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.run(`cd /sys/fs/cgroup; mkdir -p "odd name/frozen one"; cd "odd name/frozen one"
    sleep 1000007 & echo $! > cgroup.procs; echo 1 > cgroup.freeze`);
  await agree(
    async () => {
      // The shell that asks is in the root group, where its pid would be news every time.
      const blocks = (await guest.run(walk)).split(/^@/m).slice(1);
      return blocks
        .map((block) => {
          const [path, inode, controllers, subtree, frozen, pids] = block.split("\n");
          const root = path === ".";
          return {
            path: root ? "/" : path.slice(1),
            id: Number(inode),
            controllers: words(controllers),
            subtreeControl: words(subtree),
            frozen: frozen === "frozen 1",
            pids: root
              ? []
              : words(pids)
                  .map(Number)
                  .toSorted((a, b) => a - b),
          };
        })
        .toSorted((a, b) => (a.path < b.path ? -1 : 1));
    },
    () =>
      readAll(cgroups, kernel, {})
        .filter(({ hierarchy, dying }) => hierarchy.version === 2 && !dying)
        .map(({ path, id, controllers, subtreeControl, frozen, pids }) => ({
          path,
          id,
          controllers: [...controllers],
          subtreeControl: [...subtreeControl],
          frozen,
          pids: path === "/" ? [] : [...pids],
        }))
        .toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    "control groups",
  );
}

function words(line: string): string[] {
  return line.split(" ").filter((word) => word !== "");
}

/** Each process is where /proc/PID/cgroup says, in hierarchies of version 1 too. */
export async function membersAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.run(`mkdir -p /mnt/named /mnt/net; mount -t cgroup -o none,name=kvmsec none /mnt/named
    mount -t cgroup -o net_cls,net_prio none /mnt/net 2>/dev/null || :
    mkdir -p /mnt/named/outer/inner /mnt/named/docker/${DOCKER}
    sleep 1000008 & echo $! > /mnt/named/outer/inner/tasks
    sleep 1000009 & echo $! > /mnt/named/docker/${DOCKER}/tasks`);
  try {
    await agree(
      async () => {
        const proc = await readProc(guest, "cgroup", "status");
        return proc.pids
          .filter((pid) => !isGone(proc, pid))
          .flatMap((pid) =>
            (proc.text(`${pid}/cgroup`) ?? "")
              .trim()
              .split("\n")
              .map((line) => `${pid} ${line}`),
          )
          .toSorted();
      },
      () =>
        readAll(cgroups, kernel, {})
          .flatMap(({ hierarchy: { id, name }, path, pids }) =>
            pids.map((pid) => `${pid} ${id}:${name}:${path}`),
          )
          .toSorted(),
      "members of control groups",
    );
    const contained = readAll(ps, kernel, {}).find(({ container }) => container !== undefined);
    assert.equal(contained?.container, `docker:${DOCKER.slice(0, 12)}`);
    assert.equal(contained?.commandLine?.text, "sleep 1000009");
  } finally {
    await guest.run("umount /mnt/named /mnt/net 2>/dev/null || :");
  }
}

/** A process all of whose threads have exited is in no group. */
function isGone(proc: Proc, pid: number): boolean {
  const [state] = proc.words(`${pid}/status`, "State") ?? [];
  return state === "Z" && proc.words(`${pid}/status`, "Threads")?.[0] === "1";
}

/** Threads of a threaded group are counted there. */
export async function threadedGroupsAreShown(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.run(
    `cd /sys/fs/cgroup; mkdir -p domain/threads; echo threaded > domain/threads/cgroup.type`,
  );
  const row = readAll(cgroups, kernel, {}).find(({ path }) => path === "/domain/threads");
  assert.deepEqual([row?.threaded, row?.depth, row?.threads], [true, 2, 0]);
}
