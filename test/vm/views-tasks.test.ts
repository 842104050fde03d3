import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import {
  cgroupsAreThoseOfSysfs,
  membersAreThoseOfProc,
  threadedGroupsAreShown,
} from "./task-views/cgroups.ts";
import {
  inodesAreThoseOfStat,
  openFilesAreThoseOfProc,
  threadsOwnFilesAreShown,
} from "./task-views/files.ts";
import { bootTaskViewGuest, taskViewGuests } from "./task-views/guest.ts";
import type { TaskViewTest } from "./task-views/guest.ts";
import { mappingsAreThoseOfProc, unusualMappingsAreShown } from "./task-views/maps.ts";
import {
  leaderlessProcessesHaveTheirProgram,
  measuresAreThoseOfProc,
  processesAreThoseOfProc,
} from "./task-views/ps.ts";
import { viewsHoldInStorms } from "./task-views/storms.ts";
import {
  aThreadStandsForItsProcess,
  stacksAreThreadsOwn,
  threadsAreThoseOfProc,
} from "./task-views/threads.ts";

const tests: readonly (readonly [string, TaskViewTest])[] = [
  ["processes are those of /proc", processesAreThoseOfProc],
  ["a process whose leader has exited has its program", leaderlessProcessesHaveTheirProgram],
  ["times and sizes are those of /proc", measuresAreThoseOfProc],
  ["threads are those of /proc", threadsAreThoseOfProc],
  ["each thread has its own stack", stacksAreThreadsOwn],
  ["a thread stands for its process", aThreadStandsForItsProcess],
  ["mappings are those of /proc", mappingsAreThoseOfProc],
  ["unusual mappings are shown", unusualMappingsAreShown],
  ["open files are those of /proc", openFilesAreThoseOfProc],
  ["inodes are those of stat", inodesAreThoseOfStat],
  ["threads' own files are shown", threadsOwnFilesAreShown],
  ["control groups are those of /sys/fs/cgroup", cgroupsAreThoseOfSysfs],
  ["members of control groups are those of /proc", membersAreThoseOfProc],
  ["threaded groups are shown", threadedGroupsAreShown],
  ["views hold in storms", viewsHoldInStorms],
];

for (const entry of taskViewGuests) {
  test(`views of tasks: ${entry.name}`, async (t) => {
    await using running = await bootTaskViewGuest(entry);
    const { guest, population } = running;
    using attached = await attach(`pid:${guest.pid}`);
    for (const [title, run] of tests) {
      await t.test(title, () => run(guest, attached.kernel, population));
    }
  });
}
