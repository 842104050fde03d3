import type { GuestVirtual } from "../base/address.ts";
import { InetSockets } from "./inet-socket.ts";
import type { Kernel } from "./kernel.ts";
import { NetNamespaces } from "./net-namespace.ts";
import { DeviceNames } from "./netdevice-names.ts";
import { NetlinkSockets } from "./netlink-socket.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { PacketSockets } from "./packet-socket.ts";
import type { PacketSocket } from "./packet-socket.ts";
import { Socks } from "./sock.ts";
import type { SockKind } from "./sock.ts";
import { SocketQueueReader } from "./socket-queues.ts";
import type { SocketQueues } from "./socket-queues.ts";
import { SocketFilters } from "./socket-filter.ts";
import type { SocketFilter } from "./socket-filter.ts";
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  AF_VSOCK,
  familyName,
  protocolName,
  stateName,
  typeName,
} from "./socket-names.ts";
import { UnixSockets } from "./unix-socket.ts";
import type { UnixSocket } from "./unix-socket.ts";
import { VsockSockets } from "./vsock-socket.ts";

/** One socket, wherever it was found. */
export type Socket = {
  /** Address of its `struct sock`, or of the small socket that stands for it. */
  readonly sock: GuestVirtual;
  /** `full`, or a small socket that only TCP's tables hold. */
  readonly kind: SockKind;
  /** `inet`, `inet6`, `unix`, `packet`, `netlink`, … */
  readonly family: string;
  /** `tcp`, `udp`, `udplite`, `raw`, `icmp`, … for the internet families, else the family's name. */
  readonly protocol: string;
  /** `stream`, `dgram`, `raw`, `seqpacket`, … */
  readonly type: string | undefined;
  /** In the words of `ss`. */
  readonly state: string;
  readonly local: string;
  readonly remote: string;
  /** 0 where no file belongs to it any more, or yet. */
  readonly inode: number;
  readonly uid: number | undefined;
  /** Inode number of its network namespace. */
  readonly netns: number | undefined;
  /** `struct socket`; 0 where there is none. */
  readonly socket: GuestVirtual;
  /** Made by the kernel for itself; undefined for a small socket, which does not tell. */
  readonly kernel: boolean | undefined;
  /** Of the internet families. */
  readonly queues: SocketQueues | undefined;
  readonly filter: SocketFilter | undefined;
  readonly unix: UnixSocket | undefined;
  readonly packet: PacketSocket | undefined;
  readonly netlink: NetlinkSocket | undefined;
};

type Ends = Pick<Socket, "local" | "remote" | "unix" | "packet" | "netlink">;
const NO_DETAILS = { unix: undefined, packet: undefined, netlink: undefined };
const TRIES = 3;

/** Decodes sockets of every family. */
export class SocketDecoder {
  readonly socks: Socks;
  readonly namespaces: NetNamespaces;
  readonly devices: DeviceNames;
  readonly vsock: VsockSockets;
  readonly #inet: InetSockets;
  readonly #unix: UnixSockets;
  readonly #packet: PacketSockets;
  readonly #netlink: NetlinkSockets;
  readonly #filters: SocketFilters;
  readonly #queues: SocketQueueReader;

  constructor(kernel: Kernel) {
    this.socks = new Socks(kernel);
    this.namespaces = new NetNamespaces(kernel);
    this.devices = new DeviceNames(kernel);
    this.vsock = new VsockSockets(kernel);
    this.#inet = new InetSockets(kernel, this.socks, this.devices);
    this.#unix = new UnixSockets(kernel, this.socks);
    this.#packet = new PacketSockets(kernel, this.socks, this.devices);
    this.#netlink = new NetlinkSockets(kernel);
    this.#filters = new SocketFilters(kernel);
    this.#queues = new SocketQueueReader(kernel);
  }

  /** The socket at `sock`; undefined where there is none, or one that changes faster than it can be read. */
  decode(sock: GuestVirtual): Socket | undefined {
    for (let tries = 0; tries < TRIES; tries++) {
      const before = this.socks.fingerprint(sock);
      if (!this.socks.plausible(sock)) return undefined;
      const socket = this.#read(sock);
      if (this.socks.fingerprint(sock) === before) return socket;
    }
    return undefined;
  }

  #read(sock: GuestVirtual): Socket | undefined {
    const { socks } = this;
    const kind = socks.kind(sock);
    const family = socks.family(sock);
    const familyText = familyName(family);
    const state =
      kind === "time-wait" ? this.#inet.timeWaitState(sock) : stateName(socks.state(sock));
    if (familyText === undefined || state === undefined) return undefined;
    const common = {
      sock,
      kind,
      family: familyText,
      state,
      netns: this.namespaces.inum(socks.net(sock)),
      ...this.#ends(sock, family, kind),
    };
    return kind === "full"
      ? { ...common, ...this.#fullOnly(sock, family) }
      : { ...common, ...this.#smallOnly(sock) };
  }

  #fullOnly(sock: GuestVirtual, family: number) {
    const { socks } = this;
    const socket = socks.socket(sock);
    const type = socks.type(sock);
    const inet = family === AF_INET || family === AF_INET6;
    const protocol = inet ? protocolName(type, socks.protocol(sock)) : (familyName(family) ?? "?");
    return {
      protocol,
      type: typeName(type),
      inode: socks.inode(socket),
      uid: socks.uid(sock),
      socket,
      kernel: socks.ownedByKernel(sock),
      queues: inet ? this.#queuesOf(sock, protocol) : undefined,
      filter: this.#filters.decode(socks.filter(sock)),
    };
  }

  #queuesOf(sock: GuestVirtual, protocol: string): SocketQueues | undefined {
    if (protocol !== "tcp") return this.#queues.datagrams(sock, protocol.startsWith("udp"));
    const isListener = stateName(this.socks.state(sock)) === "LISTEN";
    return isListener ? this.#queues.listener(sock) : this.#queues.tcp(sock);
  }

  /** TCP and DCCP have small sockets. */
  #smallOnly(sock: GuestVirtual) {
    const dccp = this.socks.protocolName(sock)?.startsWith("DCCP") === true;
    return {
      protocol: dccp ? "dccp" : "tcp",
      type: dccp ? "dccp" : "stream",
      inode: 0,
      uid: undefined,
      socket: 0,
      kernel: undefined,
      queues: undefined,
      filter: undefined,
    };
  }

  #ends(sock: GuestVirtual, family: number, kind: SockKind): Ends {
    switch (family) {
      case AF_INET:
      case AF_INET6:
        return { ...NO_DETAILS, ...this.#inet.ends(sock, kind) };
      case AF_UNIX: {
        const unix = this.#unix.decode(sock);
        const [local = "*", remote = "*"] = [unix.name, unix.peerName];
        return { ...NO_DETAILS, local, remote, unix };
      }
      case AF_PACKET: {
        const packet = this.#packet.decode(sock);
        return { ...NO_DETAILS, local: packet.local, remote: "*", packet };
      }
      case AF_NETLINK: {
        const netlink = this.#netlink.decode(sock);
        const local = `${netlink.protocol}:${netlink.portId}`;
        return { ...NO_DETAILS, local, remote: "*", netlink };
      }
      case AF_VSOCK:
        return { ...NO_DETAILS, ...this.vsock.ends(sock) };
      default:
        return { ...NO_DETAILS, local: "*", remote: "*" };
    }
  }
}
