import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { DeviceNames } from "./netdevice-names.ts";

/** A function that gets every received packet of one kind: a protocol, or a sniffer (struct packet_type). */
export type PacketHandler = {
  /** EtherType; 3 (ETH_P_ALL) for every packet, in and out. */
  readonly protocol: number;
  readonly device: string | undefined;
  /** `struct net`; undefined where it is for all of them. */
  readonly net: GuestVirtual | undefined;
  readonly function: GuestVirtual;
  /** The `struct sock` of a packet socket, 0 for what is none. */
  readonly private: GuestVirtual;
  /** Address of its `struct packet_type`. */
  readonly packetType: GuestVirtual;
};

type Problem = (reason: string) => void;

/** Reads the lists of packet handlers (net/core/dev.c: ptype_all, ptype_base, and those of devices). */
export class PacketHandlers {
  readonly #kernel: Kernel;
  readonly #names: DeviceNames;
  readonly #link: number;
  readonly #type: Reader;
  readonly #device: Reader;
  readonly #function: Reader;
  readonly #private: Reader;
  readonly #net: Reader;

  constructor(kernel: Kernel) {
    const field = (member: string): Reader => kernel.reader("packet_type", member);
    this.#kernel = kernel;
    this.#names = new DeviceNames(kernel);
    this.#link = kernel.offset("packet_type", "list");
    this.#type = field("type");
    this.#device = field("dev");
    this.#function = field("func");
    this.#private = field("af_packet_priv");
    this.#net = field("af_packet_net");
  }

  /** Every handler: those of all devices, those of namespaces, those of single devices. */
  *all(
    nets: readonly GuestVirtual[],
    budget: Budget,
    problem: Problem,
  ): Generator<PacketHandler, void, undefined> {
    for (const head of this.#heads(nets, budget, problem)) {
      for (const each of listSnapshot(this.#kernel, head, this.#link, budget, problem)) {
        if (!budget.step()) return problem("the time for reading packet handlers is over");
        yield this.#decode(each);
      }
    }
    return undefined;
  }

  *#heads(
    nets: readonly GuestVirtual[],
    budget: Budget,
    problem: Problem,
  ): Generator<GuestVirtual> {
    const kernel = this.#kernel;
    const base = kernel.requireSymbol("ptype_base");
    // PTYPE_HASH_SIZE lists by EtherType.
    const size = kernel.types.size("list_head");
    for (let index = 0; index < 16; index++) yield base + index * size;
    // Since 6.17 what a packet socket of all devices asks for is its namespace's.
    const everywhere = kernel.symbol("ptype_all");
    if (everywhere === everywhere) yield everywhere;
    // From 6.9 until then it lay among what the network reads often (include/net/hotdata.h).
    const hot = kernel.symbol("net_hotdata");
    if (hot === hot && kernel.types.has("net_hotdata", "ptype_all")) {
      yield hot + kernel.offset("net_hotdata", "ptype_all");
    }
    const ofNet = this.#members("net");
    const ofDevice = this.#members("net_device");
    for (const net of nets) {
      for (const head of ofNet) yield head(net);
      for (const device of this.#names.devices(net, budget, problem)) {
        for (const head of ofDevice) yield head(device);
      }
    }
  }

  #members(struct: string): Reader[] {
    return ["ptype_all", "ptype_specific"].flatMap((member) => {
      const reader = this.#kernel.readerOf(struct, member);
      return reader === undefined ? [] : [reader];
    });
  }

  #decode(packetType: GuestVirtual): PacketHandler {
    const network = this.#type(packetType);
    const device = this.#device(packetType);
    const net = this.#net(packetType);
    return {
      protocol: (network % 256) * 256 + Math.floor(network / 256),
      device: device < 0 ? this.#names.nameOf(device) : undefined,
      net: net < 0 ? net : undefined,
      function: this.#function(packetType),
      private: this.#private(packetType),
      packetType,
    };
  }
}
