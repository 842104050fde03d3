import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { Tasks } from "../../../src/linux/task.ts";
import { startIntruder, stayAs } from "./intruder.ts";
import { together } from "./hook-tamperings.ts";
import { inOrder } from "./process-plant.ts";
import type { ProcessPlant, ProcessScene } from "./process-plant.ts";

/** The lists of tasks that a leader is in by a member of its own. */
const LINKS = ["tasks", "cg_list", "sibling"];
const PIDTYPE_PID = 0;
const PIDTYPE_TGID = 1;

/** Processes that no list of the kernel's leads to any more, and guards that do nothing. */
export const hiddenPlants: readonly ProcessPlant[] = [
  {
    title: "a process taken out of every list of processes at once",
    check: "unlisted-process",
    says: /"critical".*in no list of processes, but in memory/,
    plant: async ({ guest, kernel, editor }) => {
      const { task, end } = await startIntruder(guest, kernel, "user");
      // So that the one that is hidden is not the last of any list, where new ones are put.
      const last = await startIntruder(guest, kernel, "user");
      const pid = kernel.reader("task_struct", "thread_pid")(task);
      const head = pid + kernel.offset("pid", "tasks") + PIDTYPE_TGID * 8;
      const undo = [
        ...LINKS.map((name) => editor.unlink(task + kernel.offset("task_struct", name))),
        editor.writePointer(head, 0),
      ];
      return inOrder(...undo.toReversed(), end, last.end);
    },
  },
  {
    title: "a thread taken out of its process's list",
    check: "hidden-thread",
    says: /"critical".*is hidden: it is not in the list of its process/,
    plant: async (scene) => {
      const { task, end } = await startThreads(scene);
      return inOrder(unlinkFrom(scene, task, ["thread_node"]), end);
    },
  },
  {
    title: "a thread taken out of every list of threads at once",
    check: "unlisted-process",
    says: /"critical".*Thread \d+ of process \d+ .*in no list of processes, but in memory/,
    plant: async (scene) => {
      const { kernel, editor } = scene;
      const { task, end } = await startThreads(scene);
      const pid = kernel.reader("task_struct", "thread_pid")(task);
      const head = pid + kernel.offset("pid", "tasks") + PIDTYPE_PID * 8;
      const links = unlinkFrom(scene, task, ["thread_node", "cg_list"]);
      return inOrder(editor.writePointer(head, 0), links, end);
    },
  },
  {
    title: "a log that was deleted under its writer",
    check: "removed-traces",
    says: /"medium".*writes into \/var\/log\/auth\.log, which was deleted/,
    plant: async ({ guest }) => {
      const script = "mkdir -p /var/log; exec 3>/var/log/auth.log; rm /var/log/auth.log";
      return (await stayAs(guest, `${script}; exec sleep 9999`)).end;
    },
  },
  {
    title: "a shell of root's that remembers nothing",
    check: "removed-traces",
    says: /"low".*history turned off \(HISTFILE=\/dev\/null\)/,
    plant: async ({ guest }) =>
      (await stayAs(guest, 'HISTFILE=/dev/null exec bash -c "sleep 9999; true"')).end,
  },
  {
    title: "a miner, by the memory that it works on",
    check: "crypto-miner",
    says: /"medium".*memory of the size that RandomX/,
    plant: async ({ guest, kernel }) => (await startIntruder(guest, kernel, "miner")).end,
  },
  {
    title: "a miner, by whom it works for",
    check: "crypto-miner",
    says: /"medium".*works for a mining pool.*stratum\+tcp/,
    plant: async ({ guest }) =>
      (await stayAs(guest, 'exec bash -c "sleep 9999; true" -o stratum+tcp://127.0.0.1:3333')).end,
  },
  {
    title: "a daemon that keeps logs, held by a stop signal",
    check: "stopped-guard",
    says: /"high".*rsyslogd guards this system no more/,
    plant: async ({ guest }) => {
      await guest.run("cp /usr/sbin/intruder /usr/sbin/rsyslogd");
      const { pid, end } = await stayAs(guest, "exec /usr/sbin/rsyslogd");
      await guest.run(
        `kill -STOP ${pid}; until grep -q "^State:.T" /proc/${pid}/status; do sleep 0.1; done`,
      );
      return inOrder(end, () => guest.run("rm /usr/sbin/rsyslogd"));
    },
  },
];

/** A process with several threads; of these, one that is neither the first nor the last. */
async function startThreads({ guest, kernel }: ProcessScene) {
  const { pid, task: leader, end } = await startIntruder(guest, kernel, "threads");
  await guest.run(`until [ $(ls /proc/${pid}/task | wc -l) = 4 ]; do sleep 0.1; done`);
  kernel.refresh();
  const [, , task] = new Tasks(kernel).threads(leader, kernel.budget());
  assert.ok(task !== undefined);
  return { task, end };
}

function unlinkFrom(
  { kernel, editor }: ProcessScene,
  task: GuestVirtual,
  names: readonly string[],
): () => void {
  return together(...names.map((name) => editor.unlink(task + kernel.offset("task_struct", name))));
}
