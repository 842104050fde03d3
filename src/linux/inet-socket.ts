import type { GuestVirtual } from "../base/address.ts";
import { inet4Text, inet6Text } from "./inet-address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import type { DeviceNames } from "./netdevice-names.ts";
import type { SockKind, Socks } from "./sock.ts";
import { AF_INET6, TCP_CLOSE, TCP_LISTEN, stateName } from "./socket-names.ts";

/** The two ends of an internet socket. */
export type InetEnds = {
  /** `10.0.0.1:80`, `[::1]:80`, `*:80` for any address of both families; with `%eth0` where bound to a device. */
  readonly local: string;
  /** `*` stands for a port that is not set, as in `ss`. */
  readonly remote: string;
};

/**
 * Reads addresses and ports out of `struct sock_common`, which whole and small sockets have alike.
 * The texts are those of `ss -n`.
 */
export class InetSockets {
  readonly #kernel: Kernel;
  readonly #socks: Socks;
  readonly #devices: DeviceNames;
  readonly #local4: number;
  readonly #remote4: number;
  readonly #local6: number;
  readonly #remote6: number;
  readonly #localPort: Reader;
  readonly #remotePort: Reader;
  readonly #only6: Reader;
  readonly #substate: Reader;

  constructor(kernel: Kernel, socks: Socks, devices: DeviceNames) {
    const offset = (member: string): number => kernel.offset("sock_common", member);
    this.#kernel = kernel;
    this.#socks = socks;
    this.#devices = devices;
    this.#local4 = offset("skc_rcv_saddr");
    this.#remote4 = offset("skc_daddr");
    // A kernel without CONFIG_IPV6 has neither these nor sockets that would use them.
    const offset6 = (member: string): number =>
      kernel.types.has("sock_common", member) ? offset(member) : Number.NaN;
    this.#local6 = offset6("skc_v6_rcv_saddr");
    this.#remote6 = offset6("skc_v6_daddr");
    // Local port (of a raw socket its protocol) in the processor's order, remote in the network's.
    this.#localPort = kernel.reader("sock_common", "skc_num");
    this.#remotePort = kernel.reader("sock_common", "skc_dport");
    this.#only6 = kernel.reader("sock_common", "skc_ipv6only");
    this.#substate = kernel.reader("inet_timewait_sock", "tw_substate");
  }

  ends(sock: GuestVirtual, kind: SockKind): InetEnds {
    const state = this.#socks.state(sock);
    const six = this.#socks.family(sock) === AF_INET6;
    // `ss` writes [::] only where it knows that IPv4 is not meant as well.
    const only6 =
      kind === "full" && (state === TCP_LISTEN || state === TCP_CLOSE) && this.#only6(sock) !== 0;
    const index = kind === "request" ? 0 : this.#socks.boundDevice(sock);
    const device = index === 0 ? "" : `%${this.#deviceName(sock, index)}`;
    const [local, remote] = six
      ? [this.#address6(sock + this.#local6, only6), this.#address6(sock + this.#remote6, only6)]
      : [this.#address4(sock + this.#local4), this.#address4(sock + this.#remote4)];
    return {
      local: `${local}${device}:${port(this.#localPort(sock))}`,
      remote: `${remote}:${port(swap(this.#remotePort(sock)))}`,
    };
  }

  /** State of a time-wait socket: it may still stand for one in FIN-WAIT-2. */
  timeWaitState(sock: GuestVirtual): string | undefined {
    return stateName(this.#substate(sock));
  }

  #deviceName(sock: GuestVirtual, index: number): string {
    return this.#devices.name(this.#socks.net(sock), index) ?? `if${index}`;
  }

  #address4(at: GuestVirtual): string {
    const bytes = this.#kernel.space.bytes(at, 4);
    return bytes === undefined ? "?" : inet4Text(bytes);
  }

  #address6(at: GuestVirtual, only6: boolean): string {
    const bytes = this.#kernel.space.bytes(at, 16);
    if (bytes === undefined) return "?";
    return !only6 && bytes.every((byte) => byte === 0) ? "*" : `[${inet6Text(bytes)}]`;
  }
}

function port(number: number): string {
  return number === 0 ? "*" : String(number);
}

function swap(port: number): number {
  return (port % 256) * 256 + Math.floor(port / 256);
}
