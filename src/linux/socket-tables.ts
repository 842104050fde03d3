import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { boundSockets } from "./bind-table.ts";
import { hashEntries } from "./hash-table.ts";
import { mptcpTables, rawTables, tcpHashInfos, tcpTables, udpTables } from "./inet-tables.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";
import { netlinkTables } from "./netlink-socket.ts";
import { packetLists } from "./packet-socket.ts";
import { settledWalk } from "./settled-walk.ts";
import { unixTables } from "./unix-socket.ts";

type Problem = (reason: string) => void;

/** A socket that a table of the kernel holds. */
export type TableEntry = { readonly table: string; readonly sock: GuestVirtual };

/**
 * Every socket that the kernel finds by address, port or number, in the tables of all protocols
 * and network namespaces. A socket may be in several.
 */
export function* socketTableEntries(
  kernel: Kernel,
  nets: readonly GuestVirtual[],
  budget: Budget,
  problem: Problem,
): Generator<TableEntry> {
  const infos = tcpHashInfos(kernel, nets);
  const tables = [
    ...tcpTables(kernel, infos),
    ...mptcpTables(kernel),
    ...udpTables(kernel, nets),
    ...rawTables(kernel),
    ...unixTables(kernel, nets).map((table) => ({ ...table, table: "unix" })),
    ...netlinkTables(kernel, problem).map((table) => ({ ...table, table: "netlink" })),
  ];
  for (const table of tables) {
    for (const sock of hashEntries(kernel, table, budget, problem)) {
      yield { table: table.table, sock };
    }
  }
  const shared = new Set<GuestVirtual>();
  for (const info of infos) {
    const bhash = kernel.reader("inet_hashinfo", "bhash")(info);
    if (shared.has(bhash)) continue;
    shared.add(bhash);
    for (const sock of boundSockets(kernel, info, budget, problem)) yield { table: "bhash", sock };
  }
  yield* listed(kernel, nets, budget, problem);
}

/** Packet and XDP sockets are on plain lists, one a namespace. */
function* listed(
  kernel: Kernel,
  nets: readonly GuestVirtual[],
  budget: Budget,
  problem: Problem,
): Generator<TableEntry> {
  const packet = packetLists(kernel, nets);
  const xdp = kernel.readerOf("net", "xdp.list");
  const lists = [
    ...packet.heads.map((head) => ({ table: "packet", head })),
    ...(xdp === undefined ? [] : nets.map((net) => ({ table: "xdp", head: xdp(net) }))),
  ];
  for (const { table, head } of lists) {
    const socks = settledWalk(
      kernel,
      (fault) => hlistEntries(kernel, head, packet.link, budget, fault),
      () => true,
      problem,
    );
    for (const sock of socks) yield { table, sock };
  }
}
