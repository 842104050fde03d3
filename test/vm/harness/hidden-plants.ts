import type { GuestVirtual } from "../../../src/base/address.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { startIntruder, stayAs } from "./intruder.ts";
import { inOrder } from "./process-plant.ts";
import type { ProcessPlant } from "./process-plant.ts";
import type { RamEditor } from "./ram-editor.ts";

/** The lists of tasks that a leader is in by a member of its own. */
const LINKS = ["tasks", "cg_list", "sibling"];
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
        ...LINKS.map((name) => unlink(kernel, editor, task + kernel.offset("task_struct", name))),
        editor.writePointer(head, 0),
      ];
      return inOrder(...undo.toReversed(), end, last.end);
    },
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

/** As list_del, without poisoning the entry itself. */
function unlink(kernel: Kernel, editor: RamEditor, link: GuestVirtual): () => void {
  const next = kernel.space.pointer(link);
  const previous = kernel.space.pointer(link + 8);
  const one = editor.writePointer(previous, next);
  const other = editor.writePointer(next + 8, previous);
  return () => {
    one();
    other();
  };
}
