import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { AF_INET, AF_INET6, AF_NETLINK } from "./socket-names.ts";

/** Through which a socket's packets and calls go: a table of functions, or a function. */
export type SocketPointer = {
  readonly name: string;
  readonly slot: GuestVirtual;
  readonly value: GuestVirtual;
  /** The struct of the table; undefined for a function. */
  readonly table: string | undefined;
  /** Modules and BPF programs bring such tables, wherever they lie. */
  readonly brought: boolean;
};

type Member = {
  readonly struct: string;
  readonly path: string;
  readonly table?: string;
  readonly brought?: boolean;
};

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

/** Of every full sock (include/net/sock.h). */
const SOCK: readonly Member[] = [
  { struct: "sock_common", path: "skc_prot", table: "proto" },
  { struct: "sock", path: "sk_prot_creator", table: "proto" },
  { struct: "sock", path: "sk_data_ready" },
  { struct: "sock", path: "sk_state_change" },
  { struct: "sock", path: "sk_write_space" },
  { struct: "sock", path: "sk_error_report" },
  { struct: "sock", path: "sk_backlog_rcv" },
  { struct: "sock", path: "sk_destruct" },
  { struct: "sock", path: "sk_validate_xmit_skb" },
];

/** Of TCP and UDP alone (include/net/inet_connection_sock.h, include/linux/udp.h). */
const TCP: readonly Member[] = [
  {
    struct: "inet_connection_sock",
    path: "icsk_af_ops",
    table: "inet_connection_sock_af_ops",
  },
  // Congestion control, of BPF too (struct_ops), and protocols on top of TCP.
  {
    struct: "inet_connection_sock",
    path: "icsk_ca_ops",
    table: "tcp_congestion_ops",
    brought: true,
  },
  { struct: "inet_connection_sock", path: "icsk_ulp_ops", table: "tcp_ulp_ops", brought: true },
];
const UDP: readonly Member[] = [
  { struct: "udp_sock", path: "encap_rcv" },
  { struct: "udp_sock", path: "encap_err_rcv" },
  { struct: "udp_sock", path: "encap_destroy" },
];

/** Of netlink's sockets in the kernel: what gets each request (net/netlink/af_netlink.h). */
const NETLINK: readonly Member[] = [
  { struct: "netlink_sock", path: "netlink_rcv" },
  { struct: "netlink_sock", path: "netlink_bind" },
  { struct: "netlink_sock", path: "netlink_unbind" },
];
/**
 * Numbers that are the kernel's own (uapi/linux/netlink.h): routes, sock_diag, xfrm, SELinux, audit,
 * routes by address, connector, netfilter, uevents, generic, crypto. Those of hardware, and those
 * that are free, may be others'.
 */
const OWN_NETLINK: ReadonlySet<number> = new Set([0, 4, 6, 7, 9, 10, 11, 12, 15, 16, 21]);

/** Reads the functions and tables of single sockets. */
export class SocketFunctions {
  readonly #kernel: Kernel;
  readonly #members: Readonly<Record<"sock" | "tcp" | "udp" | "netlink", readonly Located[]>>;
  readonly #operations: number;
  readonly #family: (sock: GuestVirtual) => number;
  readonly #type: (sock: GuestVirtual) => number;
  readonly #protocol: (sock: GuestVirtual) => number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#members = {
      sock: located(kernel, SOCK),
      tcp: located(kernel, TCP),
      udp: located(kernel, UDP),
      netlink: located(kernel, NETLINK),
    };
    this.#operations = kernel.offset("socket", "ops");
    this.#family = kernel.reader("sock_common", "skc_family");
    this.#type = kernel.reader("sock", "sk_type");
    this.#protocol = kernel.reader("sock", "sk_protocol");
  }

  /** Of a full sock, and of its `struct socket` where it has one. Pointers that are NULL are left out. */
  *of(sock: GuestVirtual, socket: GuestVirtual): Generator<SocketPointer> {
    const { sock: common, tcp, udp, netlink } = this.#members;
    yield* this.#pointers(sock, common);
    const family = this.#family(sock);
    if (family === AF_INET || family === AF_INET6) {
      const type = this.#type(sock);
      const protocol = this.#protocol(sock);
      if (type === SOCK_STREAM && protocol === IPPROTO_TCP) yield* this.#pointers(sock, tcp);
      if (type === SOCK_DGRAM && protocol === IPPROTO_UDP) yield* this.#pointers(sock, udp);
    }
    if (family === AF_NETLINK && OWN_NETLINK.has(this.#protocol(sock))) {
      yield* this.#pointers(sock, netlink);
    }
    if (!(socket < 0)) return;
    const ops = { name: "ops", offset: this.#operations, table: "proto_ops", brought: false };
    yield* this.#pointers(socket, [ops]);
  }

  *#pointers(object: GuestVirtual, members: readonly Located[]): Generator<SocketPointer> {
    for (const { offset, ...member } of members) {
      const slot = object + offset;
      const value = this.#kernel.space.pointer(slot);
      if (value !== 0) yield { ...member, slot, value };
    }
  }
}

type Located = {
  readonly name: string;
  readonly offset: number;
  readonly table: string | undefined;
  readonly brought: boolean;
};

/** Members that this kernel does not have are left out. */
function located({ types }: Kernel, members: readonly Member[]): Located[] {
  return members.flatMap(({ struct, path, table, brought = false }) => {
    const found = types.member(struct, path);
    return found === undefined
      ? []
      : [{ name: path.replace("skc_", "sk_"), offset: found.offset, table, brought }];
  });
}
