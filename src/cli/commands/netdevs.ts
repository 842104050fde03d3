import { netdevs } from "../../views/netdevs.ts";
import type { NetDeviceRow } from "../../views/netdevs.ts";
import type { CommandModule } from "../command.ts";
import { sizeText } from "../output.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const columns: readonly Column<NetDeviceRow>[] = [
  { title: "NETNS", value: (row) => row.netns, align: "right" },
  { title: "IDX", value: (row) => row.ifindex, align: "right" },
  { title: "NAME", value: (row) => row.name },
  { title: "KIND", value: (row) => row.kind ?? row.type },
  { title: "STATE", value: (row) => row.operstate },
  { title: "MTU", value: (row) => row.mtu, align: "right" },
  { title: "MAC", value: (row) => row.mac },
  { title: "MASTER", value: (row) => row.master },
  { title: "RX", value: (row) => row.traffic && sizeText(row.traffic.rxBytes), align: "right" },
  { title: "TX", value: (row) => row.traffic && sizeText(row.traffic.txBytes), align: "right" },
  { title: "XDP", value: (row) => row.xdp.map(({ id, mode }) => `${mode}:${id}`).join(",") },
  { title: "ADDRESSES", value: addressText, shrink: 15 },
  { title: "FLAGS", value: (row) => row.flags.join(","), shrink: 8 },
];

/** `kvmsec netdevs`: the guest's network devices and their addresses. */
export const define: CommandModule["define"] = (command, io) => {
  defineView(command, io, netdevs, () => columns);
};

function addressText({ addresses }: NetDeviceRow): string {
  return addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`).join(" ");
}
