import type { GuestVirtual } from "../base/address.ts";
import type { HashTable } from "./hash-table.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { netlinkName } from "./socket-names.ts";

/** What a netlink socket talks to. */
export type NetlinkSocket = {
  /** `rtnl`, `uevent`, `audit`, …, as `ss` names them. */
  readonly protocol: string;
  /** 0 for the kernel's own end. */
  readonly portId: number;
  /** Numbers of the multicast groups that it listens to, the lowest first. */
  readonly groups: readonly number[];
};

/** MAX_LINKS (include/uapi/linux/netlink.h): families of netlink. */
const MAX_LINKS = 32;
/** Generic netlink has the most groups, a few dozen. */
const MAX_GROUPS = 4096;
const MAX_GENERATIONS = 4;

/** Decodes `struct netlink_sock` (net/netlink/af_netlink.h). */
export class NetlinkSockets {
  readonly #kernel: Kernel;
  readonly #protocol: Reader;
  readonly #portId: Reader;
  readonly #groupCount: Reader;
  readonly #groups: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#protocol = kernel.reader("sock", "sk_protocol");
    this.#portId = kernel.reader("netlink_sock", "portid");
    this.#groupCount = kernel.reader("netlink_sock", "ngroups");
    this.#groups = kernel.reader("netlink_sock", "groups");
  }

  decode(sock: GuestVirtual): NetlinkSocket {
    return {
      protocol: netlinkName(this.#protocol(sock)),
      portId: this.#portId(sock),
      groups: this.#groupsOf(sock),
    };
  }

  #groupsOf(sock: GuestVirtual): number[] {
    const count = Math.min(this.#groupCount(sock), MAX_GROUPS);
    const bits = this.#groups(sock);
    if (bits === 0 || !(count > 0)) return [];
    const bytes = this.#kernel.space.bytes(bits, Math.ceil(count / 8)) ?? new Uint8Array();
    const groups: number[] = [];
    for (let group = 0; group < bytes.length * 8; group++) {
      if (((bytes[group >> 3] ?? 0) & (1 << (group & 7))) !== 0) groups.push(group + 1);
    }
    return groups;
  }
}

/**
 * The rhashtables of `nl_table` (net/netlink/af_netlink.c), one of each netlink family. While one
 * grows there are two generations of buckets (lib/rhashtable.c).
 */
export function netlinkTables(kernel: Kernel, problem: (reason: string) => void): HashTable[] {
  const first = kernel.space.pointer(kernel.symbol("nl_table"));
  const generation = kernel.reader("netlink_table", "hash.tbl");
  const size = kernel.types.size("netlink_table");
  const tables: HashTable[] = [];
  for (let family = 0; family < MAX_LINKS; family++) {
    const at = generation(first + family * size);
    if (at === 0) continue;
    tables.push(...bucketTables(kernel, at, `the table of netlink family ${family}`, problem));
  }
  return tables;
}

function bucketTables(
  kernel: Kernel,
  newest: GuestVirtual,
  name: string,
  problem: (reason: string) => void,
): HashTable[] {
  const size = kernel.reader("bucket_table", "size");
  const nested = kernel.reader("bucket_table", "nest");
  const next = kernel.reader("bucket_table", "future_tbl");
  const tables: HashTable[] = [];
  let at = newest;
  for (let count = 0; at !== 0 && count < MAX_GENERATIONS; count++) {
    if (nested(at) !== 0) {
      problem(`${name} is spread over several pages, which is not read`);
      return tables;
    }
    tables.push({
      name,
      address: at + kernel.offset("bucket_table", "buckets"),
      buckets: size(at),
      stride: 8,
      head: 0,
      link: kernel.offset("netlink_sock", "node"),
      lockBit: true,
    });
    at = next(at);
  }
  return tables;
}
