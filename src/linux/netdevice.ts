import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";
import { namespaceReader } from "./net-namespace.ts";
import { DeviceAddresses } from "./netdevice-addresses.ts";
import type { DeviceAddress } from "./netdevice-addresses.ts";
import { DeviceNames } from "./netdevice-names.ts";
import { deviceFlags, linkType, operstateName } from "./netdevice-flags.ts";
import { DeviceStatistics } from "./netdevice-statistics.ts";
import type { TrafficCount } from "./netdevice-statistics.ts";
import { XdpPrograms } from "./netdevice-xdp.ts";
import type { XdpProgram } from "./netdevice-xdp.ts";

/** A network device as its namespace has it. */
export type NetDevice = {
  readonly name: string;
  readonly ifindex: number;
  /** `struct net` that it is in. */
  readonly net: GuestVirtual;
  /** `ether`, `loopback`, `none`, …, or the ARPHRD number. */
  readonly type: string;
  /** `veth`, `bridge`, `vlan`, …: who made it over rtnetlink; undefined for a real device. */
  readonly kind: string | undefined;
  /** Hardware address as `52:54:00:…`; undefined where it has none. */
  readonly mac: string | undefined;
  /** In the words and order of `ip`, but PROMISC whenever the device is promiscuous. */
  readonly flags: readonly string[];
  /** How many asked for every packet: a sniffer counts here even where `ip` shows no PROMISC. */
  readonly promiscuity: number;
  readonly mtu: number;
  /** `UP`, `DOWN`, `UNKNOWN`, `LOWERLAYERDOWN`, … */
  readonly operstate: string;
  /** The bridge, bond or VRF that it belongs to. */
  readonly master: string | undefined;
  readonly addresses: readonly DeviceAddress[];
  /** undefined where only its driver can count. */
  readonly traffic: TrafficCount | undefined;
  readonly xdp: readonly XdpProgram[];
  /** Address of its `struct net_device`. */
  readonly device: GuestVirtual;
};

/** MAX_ADDR_LEN (include/linux/netdevice.h). */
const MAX_ADDR_LEN = 32;
const KIND_LENGTH = 64;

/** Decodes `struct net_device` (include/linux/netdevice.h). */
export class NetDevices {
  readonly #kernel: Kernel;
  readonly #names: DeviceNames;
  readonly #addresses: DeviceAddresses;
  readonly #statistics: DeviceStatistics;
  readonly #xdp: XdpPrograms;
  readonly #readers: Record<
    "ifindex" | "type" | "mtu" | "flags" | "gflags" | "state" | "operstate" | "promiscuity" | "net",
    Reader
  >;
  readonly #linkOps: Reader;
  readonly #kind: Reader;
  readonly #hardware: Reader;
  readonly #hardwareLength: Reader;
  readonly #upper: number;
  readonly #adjacentDevice: Reader;
  readonly #adjacentMaster: Reader;
  readonly #adjacentLink: number;

  constructor(kernel: Kernel) {
    const field = (member: string): Reader => kernel.reader("net_device", member);
    this.#kernel = kernel;
    this.#names = new DeviceNames(kernel);
    this.#addresses = new DeviceAddresses(kernel);
    this.#statistics = new DeviceStatistics(kernel);
    this.#xdp = new XdpPrograms(kernel);
    this.#readers = {
      ifindex: field("ifindex"),
      type: field("type"),
      mtu: field("mtu"),
      flags: field("flags"),
      gflags: field("gflags"),
      state: field("state"),
      operstate: field("operstate"),
      promiscuity: field("promiscuity"),
      net: namespaceReader(kernel, "net_device", "nd_net.net"),
    };
    this.#linkOps = field("rtnl_link_ops");
    this.#kind = kernel.reader("rtnl_link_ops", "kind");
    this.#hardware = field("dev_addr");
    this.#hardwareLength = field("addr_len");
    this.#upper = kernel.offset("net_device", "adj_list.upper");
    this.#adjacentDevice = kernel.reader("netdev_adjacent", "dev");
    this.#adjacentMaster = kernel.reader("netdev_adjacent", "master");
    this.#adjacentLink = kernel.offset("netdev_adjacent", "list");
  }

  /** Every device of a namespace, in the order of `ip link`. */
  *all(net: GuestVirtual, budget: Budget, problem: (reason: string) => void): Generator<NetDevice> {
    for (const device of this.#names.devices(net, budget, problem)) {
      if (!budget.step()) return problem("the time for reading devices is over");
      const decoded = this.decode(device, budget);
      if (decoded === undefined) problem(`the device at ${this.#kernel.format(device)} is none`);
      else if (decoded.net === net) yield decoded;
    }
    return undefined;
  }

  /** The device at that address; undefined where there is none (any more). */
  decode(device: GuestVirtual, budget: Budget): NetDevice | undefined {
    const read = this.#readers;
    const name = this.#names.nameOf(device);
    const ifindex = read.ifindex(device);
    if (name === undefined || name === "" || !(ifindex > 0)) return undefined;
    const promiscuity = read.promiscuity(device);
    const [flags, gflags] = [read.flags(device), read.gflags(device)];
    const state = read.state(device);
    const operstate = read.operstate(device);
    return {
      name,
      ifindex,
      net: read.net(device),
      type: linkType(read.type(device)),
      kind: this.#kindOf(device),
      mac: this.#mac(device),
      flags: deviceFlags({ flags, gflags, state, operstate, promiscuity }),
      promiscuity,
      mtu: read.mtu(device),
      operstate: operstateName(state, operstate),
      master: this.#master(device, budget),
      addresses: this.#addresses.of(device, budget),
      traffic: this.#statistics.of(device),
      xdp: this.#xdp.of(device),
      device,
    };
  }

  #kindOf(device: GuestVirtual): string | undefined {
    const ops = this.#linkOps(device);
    return ops === 0 ? undefined : this.#kernel.space.string(this.#kind(ops), KIND_LENGTH);
  }

  #mac(device: GuestVirtual): string | undefined {
    const length = this.#hardwareLength(device);
    if (!(length > 0 && length <= MAX_ADDR_LEN)) return undefined;
    const bytes = this.#kernel.space.bytes(this.#hardware(device), length);
    return bytes && Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
  }

  /** The master is the first of the devices above (netdev_master_upper_dev_get in net/core/dev.c). */
  #master(device: GuestVirtual, budget: Budget): string | undefined {
    const head = device + this.#upper;
    for (const adjacent of listEntries(this.#kernel, head, this.#adjacentLink, budget)) {
      if (this.#adjacentMaster(adjacent) === 0) return undefined;
      return this.#names.nameOf(this.#adjacentDevice(adjacent));
    }
    return undefined;
  }
}
