import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/**
 * What waits in a socket, in the terms of `ss`: bytes, and for a listener connections, that nobody has
 * taken yet; bytes that are not sent or not acknowledged, and for a listener the most connections.
 */
export type SocketQueues = { readonly receive: number; readonly send: number };

/** Reads them as the kernel tells `ss` (net/ipv4/tcp_diag.c, udp_diag.c, raw_diag.c). */
export class SocketQueueReader {
  readonly #waiting: Reader;
  readonly #mostWaiting: Reader;
  readonly #received: Reader;
  readonly #sent: Reader;
  readonly #deficit: Reader;
  readonly #tcp: Readonly<Record<"received" | "copied" | "written" | "acknowledged", Reader>>;

  constructor(kernel: Kernel) {
    const tcp = (member: string): Reader => kernel.readerOrFault("tcp_sock", member);
    this.#waiting = kernel.readerOrFault("sock", "sk_ack_backlog");
    this.#mostWaiting = kernel.readerOrFault("sock", "sk_max_ack_backlog");
    this.#received = kernel.readerOrFault("sock", "sk_backlog.rmem_alloc.counter");
    this.#sent = kernel.readerOrFault("sock", "sk_wmem_alloc.refs.counter");
    this.#deficit = kernel.readerOrFault("udp_sock", "forward_deficit");
    this.#tcp = {
      received: tcp("rcv_nxt"),
      copied: tcp("copied_seq"),
      written: tcp("write_seq"),
      acknowledged: tcp("snd_una"),
    };
  }

  listener(sock: GuestVirtual): SocketQueues {
    return { receive: this.#waiting(sock), send: this.#mostWaiting(sock) };
  }

  tcp(sock: GuestVirtual): SocketQueues {
    const { received, copied, written, acknowledged } = this.#tcp;
    return {
      receive: Math.max(distance(copied(sock), received(sock)), 0),
      send: Math.max(distance(acknowledged(sock), written(sock)), 0),
    };
  }

  /** What has been read of a UDP socket is given back later, and does not count till then. */
  datagrams(sock: GuestVirtual, isUdp: boolean): SocketQueues {
    const deficit = isUdp ? this.#deficit(sock) : 0;
    // A living socket counts as one byte that is not sent (sk_alloc, net/core/sock.c).
    return { receive: this.#received(sock) - deficit, send: this.#sent(sock) - 1 };
  }
}

/** Between sequence numbers, which go round at 2^32. */
function distance(from: number, to: number): number {
  const apart = to - from;
  return apart === apart ? apart | 0 : apart;
}
