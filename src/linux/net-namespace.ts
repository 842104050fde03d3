import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { Tasks } from "./task.ts";

/**
 * A reader of the namespace that something is in (`possible_net_t`): a kernel without CONFIG_NET_NS
 * has no such member, and one namespace.
 */
export function namespaceReader(kernel: Kernel, struct: string, path: string): Reader {
  return kernel.readerOf(struct, path) ?? (() => kernel.symbol("init_net"));
}

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

  /**
   * Every `struct net`: those on `net_namespace_list`, the initial one first, and any other that a
   * task is in.
   */
  all(budget: Budget, problem: (reason: string) => void): GuestVirtual[] {
    const initial = this.#kernel.requireSymbol("init_net");
    const head = this.#kernel.requireSymbol("net_namespace_list");
    const listed = listSnapshot(this.#kernel, head, this.#link, budget, problem);
    return [...new Set([initial, ...listed, ...this.#ofTasks(budget, problem)])];
  }

  *#ofTasks(budget: Budget, problem: (reason: string) => void): Generator<GuestVirtual> {
    const tasks = new Tasks(this.#kernel);
    const net = this.#kernel.reader("nsproxy", "net_ns");
    for (const leader of tasks.processes(budget, problem)) {
      for (const task of tasks.threads(leader, budget, problem)) {
        const nsproxy = tasks.nsproxy(task);
        // A task that has exited has none.
        if (nsproxy < 0 && net(nsproxy) < 0) yield net(nsproxy);
      }
    }
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
