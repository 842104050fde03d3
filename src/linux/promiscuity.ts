import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";

/** IFF_PROMISC (include/uapi/linux/if.h). */
const IFF_PROMISC = 0x100;
/** PACKET_MR_PROMISC (include/uapi/linux/if_packet.h). */
const PACKET_MR_PROMISC = 1;
const MAX_MEMBERSHIPS = 1024;

/** How a device came to take every packet, as far as the kernel keeps it. */
export type Promiscuity = {
  /** How many asked (`net_device.promiscuity`). */
  readonly count: number;
  /** Whether IFF_PROMISC is on, which is so while somebody asks. */
  readonly flag: boolean;
  /** `ip link set promisc on`, or an old sniffer's SIOCSIFFLAGS: counts as one. */
  readonly asked: boolean;
  /** A second hardware address, which the device cannot filter for: counts as one. */
  readonly addresses: boolean;
  /** Devices on top of it — bridge, bond, VLAN, macvlan —, each of which may ask once. */
  readonly above: number;
};

/** Reads why devices take every packet (__dev_set_promiscuity, net/core/dev.c). */
export class Promiscuities {
  readonly #kernel: Kernel;
  readonly #count: Reader;
  readonly #flags: Reader;
  readonly #gflags: Reader;
  readonly #unicast: Reader | undefined;
  readonly #upper: number;
  readonly #link: number;
  readonly #memberships: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#count = kernel.reader("net_device", "promiscuity");
    this.#flags = kernel.reader("net_device", "flags");
    this.#gflags = kernel.reader("net_device", "gflags");
    this.#unicast = kernel.readerOf("net_device", "uc_promisc");
    this.#upper = kernel.offset("net_device", "adj_list.upper");
    this.#link = kernel.offset("netdev_adjacent", "list");
    this.#memberships = kernel.reader("packet_sock", "mclist");
  }

  /** Of a `struct net_device`; undefined where it cannot be read. */
  of(device: GuestVirtual, budget: Budget, problem: Problem): Promiscuity | undefined {
    const count = this.#count(device);
    const flags = this.#flags(device);
    const asked = this.#gflags(device);
    if (count !== count || flags !== flags || asked !== asked) return undefined;
    const head = device + this.#upper;
    return {
      count,
      flag: (flags & IFF_PROMISC) !== 0,
      asked: (asked & IFF_PROMISC) !== 0,
      addresses: this.#unicast?.(device) === 1,
      above: listSnapshot(this.#kernel, head, this.#link, budget, problem).length,
    };
  }

  /** Indices of the devices that a packet socket made promiscuous (PACKET_ADD_MEMBERSHIP). */
  *memberships(sock: GuestVirtual, problem: Problem): Generator<number> {
    const kernel = this.#kernel;
    const next = kernel.reader("packet_mclist", "next");
    const type = kernel.reader("packet_mclist", "type");
    const index = kernel.reader("packet_mclist", "ifindex");
    let entry = this.#memberships(sock);
    for (let count = 0; entry !== 0; count++) {
      if (entry !== entry || count === MAX_MEMBERSHIPS) {
        return problem("what a packet socket asked for cannot be read to its end");
      }
      if (type(entry) === PACKET_MR_PROMISC) yield index(entry);
      entry = next(entry);
    }
    return undefined;
  }
}
