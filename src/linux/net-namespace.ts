import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";

/** Finds network namespaces (struct net, include/net/net_namespace.h). */
export class NetNamespaces {
  readonly #kernel: Kernel;
  readonly #link: number;
  readonly #inum: Reader;
  readonly #known = new Map<GuestVirtual, number | undefined>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#link = kernel.offset("net", "list");
    this.#inum = kernel.reader("net", "ns.inum");
  }

  /** Every `struct net` on `net_namespace_list`, the initial one first. */
  all(budget: Budget, problem?: (reason: string) => void): GuestVirtual[] {
    const initial = this.#kernel.requireSymbol("init_net");
    const head = this.#kernel.requireSymbol("net_namespace_list");
    const found = new Set<GuestVirtual>([initial]);
    for (const net of listEntries(this.#kernel, head, this.#link, budget, problem)) found.add(net);
    return [...found];
  }

  /** Inode number, as `/proc/PID/ns/net` shows it. */
  inum(net: GuestVirtual): number | undefined {
    if (this.#known.has(net)) return this.#known.get(net);
    const value = this.#inum(net);
    const inum = value === value ? value : undefined;
    this.#known.set(net, inum);
    return inum;
  }
}
