/**
 * Which packets a filter sees, and from where on: packet sockets that are `raw` from the Ethernet
 * header on, raw sockets of IPv4 from the IP header on, others of the internet behind it.
 */
export type FilterPlace = {
  readonly type: string | undefined;
  /** EtherType that a packet socket is bound to; 3 for every packet. */
  readonly protocol: number;
  /** Of an internet socket: what it speaks, in the words of `Socket`. */
  readonly internet?: { readonly family: string; readonly protocol: string };
};

type Instruction = { readonly code: number; readonly constant: number };

/** BPF_LD with sizes W and H, at a fixed place and behind a header of any length (linux/bpf_common.h). */
const LOAD_FIXED_WORD = 0x20;
const LOAD_INDEXED_WORD = 0x40;
const LOAD_INDEXED_HALF = 0x48;
/** BPF_JMP | BPF_JEQ | BPF_K. */
const JUMP_EQUAL = 0x15;
const ETH_P_IP = 0x800;
const ETHERNET_HEADER = 14;
const IP_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
const IPPROTO_UDP = 17;
/** Ports of DHCP and DHCPv6, and the cookie that begins DHCP's options (RFC 2131). */
const DHCP_PORTS = [67, 68, 546, 547];
const DHCP_COOKIE = 0x6382_5363;

/**
 * The constants for which a socket's classic filter looks inside what packets carry, behind the
 * headers of their protocol: what a door does that opens on a magic packet, and what neither a DHCP
 * client nor a capture by addresses, ports and protocols does. `classic` is as `ss --bpf` prints it.
 */
export function magicConstants(classic: readonly string[], place: FilterPlace): number[] {
  const code = classic.map(parse);
  const compared = new Set(
    code.filter(({ code: operation }) => operation === JUMP_EQUAL).map(({ constant }) => constant),
  );
  const dhcp = DHCP_PORTS.some((port) => compared.has(port)) && compared.has(IPPROTO_UDP);
  if (dhcp || compared.has(DHCP_COOKIE)) return [];
  const magic: number[] = [];
  let payload = false;
  for (const { code: operation, constant } of code) {
    if (operation === JUMP_EQUAL) {
      if (payload && constant > 0xff) magic.push(constant);
    } else payload = loadsPayload(operation, constant, place);
  }
  return magic;
}

function loadsPayload(operation: number, offset: number, place: FilterPlace): boolean {
  const { fixed, indexed } = headersOf(place);
  switch (operation) {
    case LOAD_INDEXED_WORD:
    case LOAD_INDEXED_HALF:
      return offset >= indexed;
    case LOAD_FIXED_WORD:
      return offset >= fixed;
    default:
      return false;
  }
}

/** What lies before the payload: from the start of what is seen, and behind a header of any length. */
function headersOf({ type, protocol, internet }: FilterPlace): { fixed: number; indexed: number } {
  if (internet !== undefined) {
    // Those of UDP and ICMP are equally long.
    const transport = internet.protocol === "tcp" ? TCP_HEADER : UDP_HEADER;
    const network = type === "raw" && internet.family === "inet" ? IP_HEADER : 0;
    return { fixed: network + transport, indexed: transport };
  }
  const network = type === "raw" ? ETHERNET_HEADER : 0;
  // IPv6 addresses lie where IPv4 has its payload.
  const fixed = network + (protocol === ETH_P_IP ? IP_HEADER : IPV6_HEADER);
  return { fixed, indexed: network + UDP_HEADER };
}

function parse(instruction: string): Instruction {
  const [code, , , constant] = instruction.split(" ");
  return { code: Number(code), constant: Number(constant) };
}
