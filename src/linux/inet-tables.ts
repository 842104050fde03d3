import type { GuestVirtual } from "../base/address.ts";
import type { HashTable } from "./hash-table.ts";
import { pointeeSize } from "./hash-table.ts";
import type { Kernel } from "./kernel.ts";

/** LISTENING_NULLS_BASE (include/net/inet_hashtables.h). */
const LISTENING_NULLS_BASE = 2 ** 29;

/** A table of sockets: its entries are `struct sock` or one of the small kinds that begin alike. */
export type SocketTable = HashTable & {
  /** As the kernel calls it: `ehash`, `lhash2`, `udp.hash`, … */
  readonly table: string;
};

/**
 * Every `struct inet_hashinfo` of TCP: the system's, and since 6.1 those of network namespaces. From
 * 5.18 to 6.0 `tcp_death_row` is a pointer, and all namespaces share the system's.
 */
export function tcpHashInfos(kernel: Kernel, nets: readonly GuestVirtual[]): GuestVirtual[] {
  const hashinfo = kernel.readerOf("net", "ipv4.tcp_death_row.hashinfo");
  const own = hashinfo === undefined ? [] : nets.map((net) => hashinfo(net));
  const infos = new Set([kernel.symbol("tcp_hashinfo"), ...own]);
  return [...infos].filter((info) => info === info && info !== 0);
}

/** TCP's tables. A network namespace may have an `ehash` of its own, the others are shared. */
export function tcpTables(kernel: Kernel, infos: readonly GuestVirtual[]): SocketTable[] {
  return distinct(
    infos.flatMap((info) => [establishedTable(kernel, info), ...listenTables(kernel, info)]),
  );
}

function establishedTable(kernel: Kernel, info: GuestVirtual): SocketTable {
  const mask = kernel.reader("inet_hashinfo", "ehash_mask")(info);
  const hash = kernel.reader("sock_common", "skc_hash");
  return {
    table: "ehash",
    name: "the table of TCP connections",
    address: kernel.reader("inet_hashinfo", "ehash")(info),
    buckets: mask + 1,
    stride: pointeeSize(kernel, "inet_hashinfo", "ehash"),
    head: kernel.offset("inet_ehash_bucket", "chain"),
    link: kernel.offset("sock_common", "skc_nulls_node"),
    nulls: 0,
    belongs: (sock, bucket) => (hash(sock) & mask) >>> 0 === bucket,
  };
}

function listenTables(kernel: Kernel, info: GuestVirtual): SocketTable[] {
  const head = kernel.offset("inet_listen_hashbucket", "nulls_head");
  const nodes = kernel.offset("sock_common", "skc_nulls_node");
  const lhash2 = {
    table: "lhash2",
    name: "the table of TCP listeners by address",
    address: kernel.reader("inet_hashinfo", "lhash2")(info),
    buckets: kernel.reader("inet_hashinfo", "lhash2_mask")(info) + 1,
    stride: pointeeSize(kernel, "inet_hashinfo", "lhash2"),
    head,
  };
  // Before 5.19 listeners were on a table by port too, and on lhash2 through a node of their own.
  const own = kernel.types.member("inet_connection_sock", "icsk_listen_portaddr_node");
  if (own === undefined) return [{ ...lhash2, link: nodes, nulls: LISTENING_NULLS_BASE }];
  const byPort: SocketTable = {
    table: "listening_hash",
    name: "the table of TCP listeners by port",
    address: kernel.reader("inet_hashinfo", "listening_hash")(info),
    buckets: kernel.types.length("inet_hashinfo", "listening_hash"),
    stride: kernel.types.size("inet_listen_hashbucket"),
    head,
    link: nodes,
    nulls: LISTENING_NULLS_BASE,
  };
  return [byPort, { ...lhash2, link: own.offset }];
}

/** UDP's and UDP-Lite's tables, by port and by address and port. */
export function udpTables(kernel: Kernel, nets: readonly GuestVirtual[]): SocketTable[] {
  // Per network namespace since 6.2; UDP-Lite is gone in 7.1.
  const perNet = kernel.readerOf("net", "ipv4.udp_table");
  const udp = new Set([kernel.symbol("udp_table"), ...nets.map((net) => perNet?.(net) ?? 0)]);
  const places = [
    ...[...udp].map((address) => ({ protocol: "udp", address })),
    { protocol: "udplite", address: kernel.symbol("udplite_table") },
  ].filter(({ address }) => address === address && address !== 0);
  return distinct(
    places.flatMap(({ protocol, address }) => [
      udpTable(kernel, `${protocol}.hash`, address, "hash", "skc_node"),
      udpTable(kernel, `${protocol}.hash2`, address, "hash2", "skc_portaddr_node"),
    ]),
  );
}

function udpTable(
  kernel: Kernel,
  table: string,
  address: GuestVirtual,
  member: string,
  node: string,
): SocketTable {
  return {
    table,
    name: `the table ${table}`,
    address: kernel.reader("udp_table", member)(address),
    buckets: kernel.reader("udp_table", "mask")(address) + 1,
    // udp_hslot_main around it since 6.13.
    stride: pointeeSize(kernel, "udp_table", member),
    head: kernel.offset("udp_hslot", "head"),
    link: kernel.offset("sock_common", node),
  };
}

/** Raw sockets and the ping sockets that need no privilege. */
export function rawTables(kernel: Kernel): SocketTable[] {
  const raw = ["raw_v4_hashinfo", "raw_v6_hashinfo"].map((symbol) => ({
    table: symbol,
    address: kernel.symbol(symbol) + kernel.offset("raw_hashinfo", "ht"),
    buckets: kernel.types.length("raw_hashinfo", "ht"),
  }));
  const ping = {
    table: "ping_table",
    address: kernel.symbol("ping_table") + kernel.offset("ping_table", "hash"),
    buckets: kernel.types.length("ping_table", "hash"),
  };
  // Lists with NULL or with an odd marker at the end, as the release goes: both are understood.
  return [...raw, ping]
    .filter(({ address }) => address === address)
    .map((place) => ({
      ...place,
      name: `the table ${place.table}`,
      stride: kernel.types.size("hlist_head"),
      head: 0,
      link: kernel.offset("sock_common", "skc_node"),
    }));
}

/** Connections of Multipath TCP by their token (net/mptcp/token.c). */
export function mptcpTables(kernel: Kernel): SocketTable[] {
  const table = kernel.symbol("token_hash");
  const chain = kernel.types.member("token_bucket", "msk_chain");
  if (table !== table || chain === undefined) return [];
  return [
    {
      table: "mptcp.token",
      name: "the table of MPTCP tokens",
      address: kernel.space.pointer(table),
      buckets: kernel.space.u32(kernel.symbol("token_mask")) + 1,
      stride: kernel.types.size("token_bucket"),
      head: chain.offset,
      link: kernel.offset("sock_common", "skc_nulls_node"),
    },
  ];
}

function distinct(tables: readonly SocketTable[]): SocketTable[] {
  const known = new Map<GuestVirtual, SocketTable>();
  for (const table of tables) if (!known.has(table.address)) known.set(table.address, table);
  return [...known.values()];
}
