import { Option } from "commander";
import { distinctProcesses } from "../../linux/named-process.ts";
import type { FoundSocket } from "../../linux/sockets.ts";
import { sockets } from "../../views/sockets.ts";
import type { SocketsOptions } from "../../views/sockets.ts";
import type { CommandModule } from "../command.ts";
import { pidOption } from "../pid-option.ts";
import { processNames } from "../process-names.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & SocketsOptions;

const columns: readonly Column<FoundSocket>[] = [
  { title: "FAMILY", value: (row) => row.family },
  { title: "PROTO", value: (row) => (row.protocol === row.family ? row.type : row.protocol) },
  { title: "STATE", value: (row) => row.state },
  { title: "QUEUES", value: queuesText, align: "right" },
  { title: "LOCAL", value: (row) => row.local, shrink: 15 },
  { title: "REMOTE", value: (row) => row.remote, shrink: 15 },
  { title: "INODE", value: (row) => row.inode, align: "right" },
  { title: "UID", value: (row) => row.uid, align: "right" },
  { title: "NETNS", value: (row) => row.netns, align: "right" },
  { title: "SEEN", value: (row) => row.seenBy.join("+") },
  {
    title: "PID/NAME",
    value: (row) => processNames(distinctProcesses(row.holders)),
    shrink: 12,
  },
  { title: "FILTER", value: filterText },
];

/** `kvmsec sockets`: the guest's sockets, by who has them open and by the kernel's own tables. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .addOption(
      new Option("--by <way>", "look through open files, the kernel's tables, or both")
        .choices(["fd", "hash", "both"])
        .default("both"),
    )
    .addOption(pidOption())
    .option("--protocol <names>", "only these protocols or families: tcp,udp,unix,packet …", words)
    .option("--listening", "only what waits for others");
  defineView<FoundSocket, Options>(command, io, sockets, () => columns);
};

function words(text: string): string[] {
  return text.split(",").map((word) => word.trim());
}

/** `0/128`, as ss has them in Recv-Q and Send-Q. */
function queuesText({ queues }: FoundSocket): string | undefined {
  if (queues === undefined) return undefined;
  return [queues.receive, queues.send].map((each) => (each === each ? each : "?")).join("/");
}

function filterText({ filter }: FoundSocket): string | undefined {
  if (filter === undefined) return undefined;
  return filter.classic === undefined ? `ebpf ${filter.length}` : `bpf ${filter.classic.length}`;
}
