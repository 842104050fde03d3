import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import { inet4Text, inet6Text } from "./inet-address.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";

/** An address of a network device. */
export type DeviceAddress = {
  readonly family: "inet" | "inet6";
  readonly address: string;
  readonly prefixLength: number;
  /** `global`, `link`, `host`, `site`, or a number. */
  readonly scope: string;
  /** The other end of a point-to-point link. */
  readonly peer: string | undefined;
  readonly broadcast: string | undefined;
};

/** RT_SCOPE_* (include/uapi/linux/rtnetlink.h). */
const SCOPES: Readonly<Record<number, string>> = {
  0: "global",
  200: "site",
  253: "link",
  254: "host",
  255: "nowhere",
};
/** IPV6_ADDR_* scope bits of `inet6_ifaddr.scope` (include/net/ipv6.h). */
const SCOPES6 = [
  [0x10, "host"],
  [0x20, "link"],
  [0x40, "site"],
] as const;

/** Reads addresses from `struct in_device` and `struct inet6_dev`. */
export class DeviceAddresses {
  readonly #kernel: Kernel;
  readonly #four: Record<"device" | "first" | "next" | "prefix" | "scope", Reader>;
  readonly #fourOffsets: Record<"local" | "address" | "broadcast", number>;
  readonly #hasSix: boolean;
  readonly #six: Record<"device" | "prefix" | "scope", Reader>;
  readonly #sixOffsets: Record<"list" | "link" | "address" | "peer", number>;

  constructor(kernel: Kernel) {
    const four = (member: string): Reader => kernel.reader("in_ifaddr", member);
    this.#kernel = kernel;
    this.#four = {
      device: kernel.reader("net_device", "ip_ptr"),
      first: kernel.reader("in_device", "ifa_list"),
      next: four("ifa_next"),
      prefix: four("ifa_prefixlen"),
      scope: four("ifa_scope"),
    };
    this.#fourOffsets = {
      local: kernel.offset("in_ifaddr", "ifa_local"),
      address: kernel.offset("in_ifaddr", "ifa_address"),
      broadcast: kernel.offset("in_ifaddr", "ifa_broadcast"),
    };
    // A kernel without CONFIG_IPV6 has no such addresses.
    this.#hasSix = kernel.types.has("inet6_ifaddr", "prefix_len");
    const six = (struct: string, member: string): number =>
      this.#hasSix ? kernel.offset(struct, member) : Number.NaN;
    this.#six = {
      device: kernel.readerOrFault("net_device", "ip6_ptr"),
      prefix: kernel.readerOrFault("inet6_ifaddr", "prefix_len"),
      scope: kernel.readerOrFault("inet6_ifaddr", "scope"),
    };
    this.#sixOffsets = {
      list: six("inet6_dev", "addr_list"),
      link: six("inet6_ifaddr", "if_list"),
      address: six("inet6_ifaddr", "addr"),
      peer: six("inet6_ifaddr", "peer_addr"),
    };
  }

  /** Addresses of a `struct net_device`, IPv4 first. */
  of(device: GuestVirtual, budget: Budget): DeviceAddress[] {
    const four = this.#inet4(device, budget);
    return this.#hasSix ? [...four, ...this.#inet6(device, budget)] : [...four];
  }

  *#inet4(device: GuestVirtual, budget: Budget): Generator<DeviceAddress> {
    const four = this.#four;
    const within = four.device(device);
    if (within === 0 || within !== within) return;
    let at = four.first(within);
    const watch = new CircleWatch();
    while (at === at && at !== 0 && budget.step() && !watch.isBack(at)) {
      const local = this.#text4(at + this.#fourOffsets.local);
      const address = this.#text4(at + this.#fourOffsets.address);
      const broadcast = this.#text4(at + this.#fourOffsets.broadcast);
      if (local === undefined) return;
      yield {
        family: "inet",
        address: local,
        prefixLength: four.prefix(at),
        scope: SCOPES[four.scope(at)] ?? String(four.scope(at)),
        peer: address === local ? undefined : address,
        broadcast: broadcast === "0.0.0.0" ? undefined : broadcast,
      };
      at = four.next(at);
    }
  }

  *#inet6(device: GuestVirtual, budget: Budget): Generator<DeviceAddress> {
    const six = this.#six;
    const offsets = this.#sixOffsets;
    const within = six.device(device);
    if (within === 0 || within !== within) return;
    for (const at of listEntries(this.#kernel, within + offsets.list, offsets.link, budget)) {
      const address = this.#text6(at + offsets.address);
      const peer = this.#text6(at + offsets.peer);
      if (address === undefined) return;
      const bits = six.scope(at);
      yield {
        family: "inet6",
        address,
        prefixLength: six.prefix(at),
        scope: SCOPES6.find(([bit]) => (bits & bit) !== 0)?.[1] ?? "global",
        peer: peer === "::" ? undefined : peer,
        broadcast: undefined,
      };
    }
  }

  #text4(at: GuestVirtual): string | undefined {
    const bytes = this.#kernel.space.bytes(at, 4);
    return bytes && inet4Text(bytes);
  }

  #text6(at: GuestVirtual): string | undefined {
    const bytes = this.#kernel.space.bytes(at, 16);
    return bytes && inet6Text(bytes);
  }
}
