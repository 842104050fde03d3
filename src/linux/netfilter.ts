import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { DeviceNames } from "./netdevice-names.ts";

/** A function that netfilter calls for every packet that passes one point. */
export type NetfilterHook = {
  /** `struct net` whose packets pass. */
  readonly net: GuestVirtual;
  readonly family: "ipv4" | "ipv6" | "arp" | "bridge" | "decnet" | "netdev";
  /** `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`, `egress`. */
  readonly hook: string;
  /** Where several hooks meet, the lowest is called first; undefined where it cannot be read. */
  readonly priority: number | undefined;
  /** Of `ingress` and `egress`. */
  readonly device: string | undefined;
  /** What is called, … */
  readonly function: GuestVirtual;
  /** … and with what. */
  readonly private: GuestVirtual;
};

type Place = Pick<NetfilterHook, "net" | "family" | "hook" | "device">;
type Problem = (reason: string) => void;

/** NF_INET_* and NF_BR_* (include/uapi/linux/netfilter.h, netfilter_bridge.h). */
const IP_HOOKS = ["prerouting", "input", "forward", "output", "postrouting"];
/** NF_ARP_* (include/uapi/linux/netfilter_arp.h). */
const ARP_HOOKS = ["input", "output", "forward"];
const FAMILIES = [
  ["ipv4", IP_HOOKS],
  ["ipv6", IP_HOOKS],
  ["arp", ARP_HOOKS],
  ["bridge", IP_HOOKS],
  // Gone since 6.1; its hooks have other meanings.
  ["decnet", []],
] as const;
/** MAX_HOOK_COUNT (net/netfilter/core.c). */
const MAX_HOOKS = 1024;
const POINTER_SIZE = 8;

/** Reads netfilter's hooks: `struct netns_nf` and `struct nf_hook_entries` (include/linux/netfilter.h). */
export class NetfilterHooks {
  readonly #kernel: Kernel;
  readonly #names: DeviceNames;
  readonly #count: Reader;
  readonly #entries: number;
  readonly #entrySize: number;
  readonly #function: Reader;
  readonly #private: Reader;
  readonly #priority: Reader;
  readonly #removed: GuestVirtual;
  readonly #deviceHooks: readonly { readonly hook: string; readonly at: Reader }[];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#names = new DeviceNames(kernel);
    this.#count = kernel.reader("nf_hook_entries", "num_hook_entries");
    this.#entries = kernel.offset("nf_hook_entries", "hooks");
    this.#entrySize = kernel.types.size("nf_hook_entry");
    this.#function = kernel.reader("nf_hook_entry", "hook");
    this.#private = kernel.reader("nf_hook_entry", "priv");
    this.#priority = kernel.reader("nf_hook_ops", "priority");
    // Stands for a hook that was taken away, until the array is made anew.
    this.#removed = kernel.symbol("dummy_ops");
    // Egress since 5.17.
    this.#deviceHooks = ["ingress", "egress"].flatMap((hook) => {
      const at = kernel.readerOf("net_device", `nf_hooks_${hook}`);
      return at === undefined ? [] : [{ hook, at }];
    });
  }

  /** Every hook of a network namespace, in the order in which they are called at each point. */
  *all(net: GuestVirtual, budget: Budget, problem: Problem): Generator<NetfilterHook> {
    for (const [family, hooks] of FAMILIES)
      yield* this.#ofFamily(net, family, hooks, budget, problem);
    for (const device of this.#names.devices(net, budget, problem)) {
      for (const { hook, at } of this.#deviceHooks) {
        const name = this.#names.nameOf(device);
        yield* this.#read(
          at(device),
          { net, family: "netdev", hook, device: name },
          budget,
          problem,
        );
      }
    }
  }

  *#ofFamily(
    net: GuestVirtual,
    family: NetfilterHook["family"],
    hooks: readonly string[],
    budget: Budget,
    problem: Problem,
  ): Generator<NetfilterHook> {
    const heads = this.#kernel.types.member("net", `nf.hooks_${family}`);
    if (heads === undefined) return;
    const count = this.#kernel.types.length("net", `nf.hooks_${family}`);
    for (let number = 0; number < count; number++) {
      const entries = this.#kernel.space.pointer(net + heads.offset + number * POINTER_SIZE);
      const hook = hooks[number] ?? String(number);
      yield* this.#read(entries, { net, family, hook, device: undefined }, budget, problem);
    }
  }

  /** An array of functions with what to call them with, and behind it one of who registered them. */
  *#read(
    entries: GuestVirtual,
    place: Place,
    budget: Budget,
    problem: Problem,
  ): Generator<NetfilterHook, void, undefined> {
    if (entries === 0) return undefined;
    const count = this.#count(entries);
    if (!(count <= MAX_HOOKS)) {
      return problem(`the ${place.family} ${place.hook} hooks cannot be read`);
    }
    const first = entries + this.#entries;
    for (let index = 0; index < count; index++) {
      if (!budget.step()) return problem("the time for reading hooks is over");
      const entry = first + index * this.#entrySize;
      const owners = first + count * this.#entrySize;
      const operations = this.#kernel.space.pointer(owners + index * POINTER_SIZE);
      if (operations === this.#removed) continue;
      const priority = this.#priority(operations);
      yield {
        ...place,
        priority: priority === priority ? priority : undefined,
        function: this.#function(entry),
        private: this.#private(entry),
      };
    }
    return undefined;
  }
}
