import type { ProcessSelection } from "../../linux/process-selection.ts";
import type { Thread } from "../../linux/thread.ts";
import { threads } from "../../views/threads.ts";
import type { CommandModule } from "../command.ts";
import { durationText, timeText } from "../output.ts";
import { pidOption } from "../pid-option.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const columns: readonly Column<Thread>[] = [
  { title: "TGID", value: (row) => row.tgid, align: "right" },
  { title: "TID", value: (row) => row.tid, align: "right" },
  { title: "S", value: (row) => row.state },
  { title: "CPU", value: (row) => row.cpu, align: "right" },
  { title: "NI", value: (row) => row.nice, align: "right" },
  { title: "POLICY", value: (row) => row.policy },
  { title: "STARTED", value: (row) => timeText(row.startTime) },
  { title: "TIME", value: (row) => durationText(row.cpuTimeMs), align: "right" },
  { title: "COMM", value: (row) => (row.kthread ? `[${row.name}]` : row.name) },
];

/** `kvmsec threads`: every thread of the guest. */
export const define: CommandModule["define"] = (command, io) => {
  command.addOption(pidOption());
  defineView<Thread, ViewOptions & ProcessSelection>(command, io, threads, () => columns);
};
