/** Words for the numbers of the socket interface; the same numbers in every release. */

/** AF_* (include/linux/socket.h). */
const FAMILIES: Readonly<Record<number, string>> = {
  0: "unspec",
  1: "unix",
  2: "inet",
  3: "ax25",
  4: "ipx",
  5: "appletalk",
  6: "netrom",
  8: "atmpvc",
  9: "x25",
  10: "inet6",
  11: "rose",
  15: "key",
  16: "netlink",
  17: "packet",
  20: "atmsvc",
  21: "rds",
  23: "irda",
  24: "pppox",
  26: "llc",
  27: "ib",
  28: "mpls",
  29: "can",
  30: "tipc",
  31: "bluetooth",
  32: "iucv",
  33: "rxrpc",
  34: "isdn",
  35: "phonet",
  36: "ieee802154",
  37: "caif",
  38: "alg",
  39: "nfc",
  40: "vsock",
  41: "kcm",
  42: "qipcrtr",
  43: "smc",
  44: "xdp",
  45: "mctp",
};

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const AF_VSOCK = 40;

/** AF_MAX of the newest kernels, with room: a higher number is no socket's. */
const AF_LIMIT = 64;

/** Name of an address family: undefined for what no kernel has. */
export function familyName(family: number): string | undefined {
  if (!(family >= 0 && family < AF_LIMIT)) return undefined;
  return FAMILIES[family] ?? `family-${family}`;
}

/** SOCK_* (include/linux/net.h). */
const TYPES: Readonly<Record<number, string>> = {
  1: "stream",
  2: "dgram",
  3: "raw",
  4: "rdm",
  5: "seqpacket",
  6: "dccp",
  10: "packet",
};

export const SOCK_RAW = 3;

export function typeName(type: number): string | undefined {
  return TYPES[type];
}

/** IPPROTO_* (include/uapi/linux/in.h). */
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  33: "dccp",
  58: "icmpv6",
  115: "l2tp",
  132: "sctp",
  136: "udplite",
  256: "smc",
  262: "mptcp",
};

/** What an internet socket speaks: a raw one `raw`, whatever its protocol number. */
export function protocolName(type: number, protocol: number): string {
  return type === SOCK_RAW ? "raw" : (PROTOCOLS[protocol] ?? String(protocol));
}

/** TCP_* (include/net/tcp_states.h), which all families use; the words are those of `ss`. */
const STATES = [
  undefined,
  "ESTAB",
  "SYN-SENT",
  "SYN-RECV",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "TIME-WAIT",
  "UNCONN",
  "CLOSE-WAIT",
  "LAST-ACK",
  "LISTEN",
  "CLOSING",
  // A request that waits for the end of its handshake (NEW_SYN_RECV).
  "SYN-RECV",
  // Bound, and not visible on the wire (since 6.8).
  "BOUND-INACTIVE",
] as const;

export const TCP_TIME_WAIT = 6;
export const TCP_CLOSE = 7;
export const TCP_LISTEN = 10;
export const TCP_NEW_SYN_RECV = 12;

export function stateName(state: number): string | undefined {
  return STATES[state];
}

/** NETLINK_* (include/uapi/linux/netlink.h); the words are those of `ss`. */
const NETLINK: Readonly<Record<number, string>> = {
  0: "rtnl",
  1: "unused",
  2: "usersock",
  3: "fw",
  4: "tcpdiag",
  5: "nflog",
  6: "xfrm",
  7: "selinux",
  8: "iscsi",
  9: "audit",
  10: "fiblookup",
  11: "connector",
  12: "nft",
  13: "ip6fw",
  14: "dec-rt",
  15: "uevent",
  16: "genl",
  18: "scsi-trans",
  19: "ecryptfs",
  20: "rdma",
  21: "crypto",
  22: "smc",
};

export function netlinkName(protocol: number): string {
  return NETLINK[protocol] ?? String(protocol);
}
