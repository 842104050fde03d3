import { netfilter } from "../../views/netfilter.ts";
import type { NetfilterRow } from "../../views/netfilter.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const columns: readonly Column<NetfilterRow>[] = [
  { title: "NETNS", value: (row) => row.netns, align: "right" },
  { title: "FAMILY", value: (row) => row.family },
  { title: "HOOK", value: (row) => row.hook },
  { title: "DEVICE", value: (row) => row.device },
  { title: "PRIORITY", value: (row) => row.priority, align: "right" },
  { title: "OWNER", value: (row) => row.owner?.name ?? "nobody" },
  { title: "FUNCTION", value: (row) => row.symbol },
];

/** `kvmsec netfilter`: who looks at the guest's packets through netfilter. */
export const define: CommandModule["define"] = (command, io) => {
  defineView(command, io, netfilter, () => columns);
};
