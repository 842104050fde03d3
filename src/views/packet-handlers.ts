import { CodeOwners } from "../linux/code-owner.ts";
import type { CodeOwner } from "../linux/code-owner.ts";
import { NetNamespaces } from "../linux/net-namespace.ts";
import { PacketHandlers } from "../linux/packet-type.ts";
import type { PacketHandler } from "../linux/packet-type.ts";
import type { View } from "./view.ts";

/** A packet handler with whose code it is. */
export type PacketHandlerRow = PacketHandler & {
  readonly netns: number | undefined;
  /** As the kernel prints it: `packet_rcv`. */
  readonly symbol: string;
  readonly owner: CodeOwner | undefined;
};

/** The functions that get the guest's packets as they come from its devices. */
export const packetHandlers: View<PacketHandlerRow> = {
  schema: "kvmsec.packet-handlers/1",
  list: "handlers",
  *read(kernel, _options, problem) {
    const budget = kernel.budget();
    const namespaces = new NetNamespaces(kernel);
    const owners = new CodeOwners(kernel);
    for (const reason of owners.problems) problem(reason);
    const nets = namespaces.all(budget, problem);
    for (const handler of new PacketHandlers(kernel).all(nets, budget, problem)) {
      yield {
        ...handler,
        netns: handler.net === undefined ? undefined : namespaces.inum(handler.net),
        symbol: owners.describe(handler.function),
        owner: owners.ownerOf(handler.function),
      };
    }
  },
  json: (row, kernel) => ({
    protocol: row.protocol,
    device: row.device ?? null,
    netns: row.netns ?? null,
    symbol: row.symbol,
    owner: row.owner?.name ?? null,
    function: kernel.format(row.function),
    sock: row.private === 0 ? null : kernel.format(row.private),
    packetType: kernel.format(row.packetType),
  }),
};
