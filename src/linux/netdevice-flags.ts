/** IFF_* (include/uapi/linux/if.h) in the order in which `ip` shows them. */
const FLAGS: readonly (readonly [string, number])[] = [
  ["LOOPBACK", 0x8],
  ["BROADCAST", 0x2],
  ["POINTOPOINT", 0x10],
  ["MULTICAST", 0x1000],
  ["NOARP", 0x80],
  ["ALLMULTI", 0x200],
  ["PROMISC", 0x100],
  ["MASTER", 0x400],
  ["SLAVE", 0x800],
  ["DEBUG", 0x4],
  ["DYNAMIC", 0x8000],
  ["AUTOMEDIA", 0x4000],
  ["PORTSEL", 0x2000],
  ["NOTRAILERS", 0x20],
  ["UP", 0x1],
  ["LOWER_UP", 0x1_0000],
  ["DORMANT", 0x2_0000],
  ["ECHO", 0x4_0000],
];
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
const IFF_PROMISC = 0x100;
const IFF_ALLMULTI = 0x200;
const IFF_LOWER_UP = 0x1_0000;
const IFF_DORMANT = 0x2_0000;

/** enum netdev_state_t (include/linux/netdevice.h), as bits of `net_device.state`. */
const STATE_START = 1 << 0;
const STATE_NOCARRIER = 1 << 2;
const STATE_DORMANT = 1 << 4;

/** IF_OPER_* (include/uapi/linux/if.h, RFC 2863). */
const OPERSTATES = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];
const IF_OPER_UNKNOWN = 0;
const IF_OPER_DOWN = 2;
const IF_OPER_UP = 6;

/** ARPHRD_* (include/uapi/linux/if_arp.h) as `ip` names them. */
const LINK_TYPES: Readonly<Record<number, string>> = {
  1: "ether",
  32: "infiniband",
  280: "can",
  512: "ppp",
  519: "rawip",
  768: "ipip",
  769: "tunnel6",
  772: "loopback",
  776: "sit",
  778: "gre",
  801: "ieee802.11",
  803: "ieee802.11/radiotap",
  823: "gre6",
  824: "netlink",
  826: "vsockmon",
  65534: "none",
};

type State = {
  readonly flags: number;
  /** What the user asked for, while others may have asked for more (`net_device.gflags`). */
  readonly gflags: number;
  readonly state: number;
  readonly operstate: number;
  readonly promiscuity: number;
};

/**
 * What `dev_get_flags` (net/core/dev.c) makes of a device's flags and state, but PROMISC whenever
 * somebody listens to everything, which the kernel tells only those who ask for `promiscuity`.
 */
export function deviceFlags({ flags, gflags, state, operstate, promiscuity }: State): string[] {
  const asked = IFF_PROMISC | IFF_ALLMULTI;
  let bits = flags & ~(asked | IFF_RUNNING | IFF_LOWER_UP | IFF_DORMANT);
  bits |= gflags & asked;
  if (promiscuity > 0) bits |= IFF_PROMISC;
  if ((state & STATE_START) !== 0) {
    if (operstate === IF_OPER_UP || operstate === IF_OPER_UNKNOWN) bits |= IFF_RUNNING;
    if ((state & STATE_NOCARRIER) === 0) bits |= IFF_LOWER_UP;
    if ((state & STATE_DORMANT) !== 0) bits |= IFF_DORMANT;
  }
  const names = FLAGS.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
  const isDown = (bits & IFF_UP) !== 0 && (bits & IFF_RUNNING) === 0;
  return isDown ? ["NO-CARRIER", ...names] : names;
}

export function operstateName(state: number, operstate: number): string {
  const shown = (state & STATE_START) === 0 ? IF_OPER_DOWN : operstate;
  return OPERSTATES[shown] ?? String(shown);
}

export function linkType(type: number): string {
  return LINK_TYPES[type] ?? String(type);
}
