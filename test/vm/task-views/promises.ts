import {
  cgroupsAreThoseOfSysfs,
  membersAreThoseOfProc,
  threadedGroupsAreShown,
} from "./cgroups.ts";
import { inodesAreThoseOfStat, openFilesAreThoseOfProc, threadsOwnFilesAreShown } from "./files.ts";
import type { TaskViewTest } from "./guest.ts";
import {
  mappingsAreThoseOfProc,
  residentPartsAreThoseOfProc,
  unusualMappingsAreShown,
} from "./maps.ts";
import {
  leaderlessProcessesHaveTheirProgram,
  measuresAreThoseOfProc,
  processesAreThoseOfProc,
} from "./ps.ts";
import { viewsHoldInStorms } from "./storms.ts";
import {
  aThreadStandsForItsProcess,
  stacksAreThreadsOwn,
  threadsAreThoseOfProc,
} from "./threads.ts";

/** What holds of the views of tasks in every guest; the storms come last, they leave litter. */
export const promises: readonly (readonly [string, TaskViewTest])[] = [
  ["processes are those of /proc", processesAreThoseOfProc],
  ["a process whose leader has exited has its program", leaderlessProcessesHaveTheirProgram],
  ["times and sizes are those of /proc", measuresAreThoseOfProc],
  ["threads are those of /proc", threadsAreThoseOfProc],
  ["each thread has its own stack", stacksAreThreadsOwn],
  ["a thread stands for its process", aThreadStandsForItsProcess],
  ["mappings are those of /proc", mappingsAreThoseOfProc],
  ["unusual mappings are shown", unusualMappingsAreShown],
  ["resident parts of mappings are those of /proc", residentPartsAreThoseOfProc],
  ["open files are those of /proc", openFilesAreThoseOfProc],
  ["inodes are those of stat", inodesAreThoseOfStat],
  ["threads' own files are shown", threadsOwnFilesAreShown],
  ["control groups are those of /sys/fs/cgroup", cgroupsAreThoseOfSysfs],
  ["members of control groups are those of /proc", membersAreThoseOfProc],
  ["threaded groups are shown", threadedGroupsAreShown],
  ["views hold in storms", viewsHoldInStorms],
];
