import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";
import { settledWalk } from "./settled-walk.ts";
import type { Socks } from "./sock.ts";

/** SCM_MAX_FD (include/net/scm.h). */
const SCM_MAX_FD = 253;

/**
 * Finds sockets that are on their way from one process to another: a descriptor that was sent over
 * a unix socket (SCM_RIGHTS) lies in the receiver's queue, and no process has it until it is read.
 */
export class SocketsInFlight {
  readonly #kernel: Kernel;
  readonly #socks: Socks;
  readonly #queue: number;
  readonly #control: number;
  readonly #passed: Reader;
  readonly #count: Reader;
  readonly #files: number;

  constructor(kernel: Kernel, socks: Socks) {
    this.#kernel = kernel;
    this.#socks = socks;
    this.#queue = kernel.offset("sock", "sk_receive_queue");
    this.#control = kernel.offset("sk_buff", "cb");
    this.#passed = kernel.reader("unix_skb_parms", "fp");
    this.#count = kernel.reader("scm_fp_list", "count");
    this.#files = kernel.offset("scm_fp_list", "fp");
  }

  /** Every `struct socket` in the receive queue of one of these unix sockets. */
  read(
    receivers: Iterable<GuestVirtual>,
    budget: Budget,
    problem: (reason: string) => void,
  ): Set<GuestVirtual> {
    const found = new Set<GuestVirtual>();
    for (const sock of receivers) {
      // The queue's head and a packet begin alike: next, prev (include/linux/skbuff.h).
      const queue = settledWalk(
        this.#kernel,
        (fault) => listEntries(this.#kernel, sock + this.#queue, 0, budget, fault),
        () => this.#socks.plausible(sock),
        problem,
      );
      for (const packet of queue) this.#addPassed(this.#passed(packet + this.#control), found);
    }
    return found;
  }

  #addPassed(list: GuestVirtual, found: Set<GuestVirtual>): void {
    if (!(list < 0)) return;
    const count = Math.min(this.#count(list), SCM_MAX_FD);
    for (let index = 0; index < count; index++) {
      const file = this.#kernel.space.pointer(list + this.#files + index * 8);
      const socket = this.#socks.ofFile(file);
      if (socket !== undefined) found.add(socket);
    }
  }
}
