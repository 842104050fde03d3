import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { ModuleTypes } from "./module-types.ts";
import type { DeviceNames } from "./netdevice-names.ts";
import type { Socks } from "./sock.ts";

/** What a packet socket listens to. */
export type PacketSocket = {
  /** EtherType, 3 (ETH_P_ALL) for every packet, 0 for none. */
  readonly protocol: number;
  /** 0 for every device. */
  readonly ifindex: number;
  readonly device: string | undefined;
  /** As `ss` writes it: `*:eth0`, `[2048]:*`. */
  readonly local: string;
};

const ETH_P_ALL = 3;

/** Decodes `struct packet_sock` (net/packet/internal.h), which some kernels have in a module. */
export class PacketSockets {
  readonly #socks: Socks;
  readonly #devices: DeviceNames;
  readonly #protocol: Reader;
  readonly #ifindex: Reader;

  constructor(kernel: Kernel, socks: Socks, devices: DeviceNames) {
    this.#socks = socks;
    this.#devices = devices;
    this.#protocol = packetReader(kernel, "num");
    this.#ifindex = packetReader(kernel, "ifindex");
  }

  decode(sock: GuestVirtual): PacketSocket {
    const network = this.#protocol(sock);
    const protocol = (network % 256) * 256 + Math.floor(network / 256);
    const ifindex = this.#ifindex(sock);
    // −1 after its device went away.
    const device = ifindex > 0 ? this.#devices.name(this.#socks.net(sock), ifindex) : undefined;
    const what = protocol === ETH_P_ALL ? "*" : `[${protocol}]`;
    const where = ifindex === 0 ? "*" : (device ?? `if${ifindex}`);
    return { protocol, ifindex, device, local: `${what}:${where}` };
  }
}

function packetReader(kernel: Kernel, path: string): Reader {
  const reader = kernel.readerOf("packet_sock", path);
  return (
    reader ?? new ModuleTypes(kernel).reader("af_packet", "packet_sock", path) ?? (() => FAULT)
  );
}

/**
 * Heads of the lists of packet sockets, with the offset of their nodes: one list a namespace, none
 * in a kernel that was built without them.
 */
export function packetLists(
  kernel: Kernel,
  nets: readonly GuestVirtual[],
): { readonly heads: readonly GuestVirtual[]; readonly link: number } {
  const head = kernel.readerOf("net", "packet.sklist");
  const heads = head === undefined ? [] : nets.map((net) => head(net));
  return { heads, link: kernel.offset("sock_common", "skc_node") };
}
