import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries, listEntries } from "./list.ts";
import { objectView } from "./object-views.ts";
import type { ObjectView } from "./object-views.ts";
import { processesByPid, tasksByPid } from "./pid.ts";
import { Tasks } from "./task.ts";

type Problem = (reason: string) => void;

/** Where a kernel keeps its processes, each found without the others. */
export type TaskView = "task list" | "pid table" | "control groups" | "children";

/** Where a kernel keeps the threads of its processes, each found without the others. */
export type ThreadView = "list of its process" | "pid table" | "control groups";

/** CSS_SET_HASH_BITS is 7 (kernel/cgroup/cgroup.c). */
const CSS_SET_BUCKETS = 128;

/** The leaders of all processes, by each view that this kernel has. */
export function taskViews(kernel: Kernel, problem: Problem): ReadonlyMap<TaskView, ObjectView> {
  const tasks = new Tasks(kernel);
  const readers: [TaskView, (problem: Problem) => Iterable<GuestVirtual>][] = [
    ["task list", (fault) => tasks.processes(kernel.budget(), fault)],
    ["pid table", (fault) => Array.from(processesByPid(kernel, fault), ({ task }) => task)],
    ["children", (fault) => descendants(kernel, tasks, fault)],
  ];
  // A kernel without CONFIG_CGROUPS does not have this view.
  if (kernel.types.has("task_struct", "cgroups")) {
    readers.push(["control groups", (fault) => cgroupLeaders(kernel, tasks, fault)]);
  }
  return new Map(readers.map(([name, read]) => [name, objectView(read, problem)]));
}

/** The threads of all processes, leaders among them, by each view that this kernel has. */
export function threadViews(kernel: Kernel, problem: Problem): ReadonlyMap<ThreadView, ObjectView> {
  const tasks = new Tasks(kernel);
  const readers: [ThreadView, (problem: Problem) => Iterable<GuestVirtual>][] = [
    ["pid table", (fault) => Array.from(tasksByPid(kernel, fault), ({ task }) => task)],
    ["list of its process", (fault) => groupMembers(kernel, tasks, fault)],
  ];
  if (kernel.types.has("task_struct", "cgroups")) {
    readers.push(["control groups", (fault) => cgroupTasks(kernel, fault)]);
  }
  return new Map(readers.map(([name, read]) => [name, objectView(read, problem)]));
}

/** Of each process that the task list or the table of pids has. */
function groupMembers(kernel: Kernel, tasks: Tasks, problem: Problem): Set<GuestVirtual> {
  const budget = kernel.budget();
  const leaders = new Set(tasks.processes(budget, problem));
  for (const { task } of processesByPid(kernel, problem)) leaders.add(task);
  const members = new Set<GuestVirtual>();
  for (const leader of leaders) {
    for (const task of tasks.threads(leader, budget, problem)) members.add(task);
  }
  return members;
}

function cgroupLeaders(kernel: Kernel, tasks: Tasks, problem: Problem): Set<GuestVirtual> {
  const leaders = new Set<GuestVirtual>();
  for (const task of cgroupTasks(kernel, problem)) leaders.add(tasks.groupLeader(task));
  return leaders;
}

/** `css_set_table`: each css_set lists its threads in `tasks`, or `mg_tasks` while they move. */
function cgroupTasks(kernel: Kernel, problem: Problem): Set<GuestVirtual> {
  const members = new Set<GuestVirtual>();
  const table = kernel.requireSymbol("css_set_table");
  const link = kernel.offset("css_set", "hlist");
  const cgList = kernel.offset("task_struct", "cg_list");
  const lists = ["tasks", "mg_tasks"].map((name) => kernel.offset("css_set", name));
  const budget = kernel.budget();
  const add = (cssSet: GuestVirtual): void => {
    for (const offset of lists) {
      for (const task of listEntries(kernel, cssSet + offset, cgList, budget, problem)) {
        members.add(task);
      }
    }
  };
  for (let bucket = 0; bucket < CSS_SET_BUCKETS; bucket++) {
    for (const set of hlistEntries(kernel, table + bucket * 8, link, budget, problem)) add(set);
  }
  return members;
}

/**
 * From `init_task` down through `children`; a thread's children belong to its process. However deep
 * the tree is, it is followed to its end: each generation has at least one new process.
 */
function descendants(kernel: Kernel, tasks: Tasks, problem: Problem): Set<GuestVirtual> {
  const children = kernel.offset("task_struct", "children");
  const sibling = kernel.offset("task_struct", "sibling");
  const budget = kernel.budget();
  const leaders = new Set<GuestVirtual>();
  let generation: GuestVirtual[] = [kernel.requireSymbol("init_task")];
  while (generation.length > 0) {
    const next: GuestVirtual[] = [];
    for (const parent of generation) {
      for (const thread of threadsOf(tasks, parent, problem)) {
        for (const child of listEntries(kernel, thread + children, sibling, budget, problem)) {
          if (!leaders.has(child)) next.push(child);
          leaders.add(child);
        }
      }
    }
    generation = next;
  }
  return leaders;
}

function threadsOf(tasks: Tasks, leader: GuestVirtual, problem: Problem): GuestVirtual[] {
  const threads = tasks.threads(leader, tasks.kernel.budget(), problem);
  // swapper's own thread list holds nobody.
  return threads.includes(leader) ? threads : [leader, ...threads];
}
