import { packetHandlers } from "../../views/packet-handlers.ts";
import type { PacketHandlerRow } from "../../views/packet-handlers.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const ETH_P_ALL = 3;

const columns: readonly Column<PacketHandlerRow>[] = [
  { title: "PROTOCOL", value: protocolText },
  { title: "DEVICE", value: (row) => row.device },
  { title: "NETNS", value: (row) => row.netns, align: "right" },
  { title: "OWNER", value: (row) => row.owner?.name ?? "nobody" },
  { title: "FUNCTION", value: (row) => row.symbol },
];

/** `kvmsec packet-handlers`: who gets the guest's packets as they come from its devices. */
export const define: CommandModule["define"] = (command, io) => {
  defineView(command, io, packetHandlers, () => columns);
};

/** As in /proc/net/ptype. */
function protocolText({ protocol }: PacketHandlerRow): string {
  return protocol === ETH_P_ALL ? "ALL" : `0x${protocol.toString(16).padStart(4, "0")}`;
}
