import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";

const IFNAMSIZ = 16;

/** Names of network devices by their namespace and index. A namespace is read when first asked for. */
export class DeviceNames {
  readonly #kernel: Kernel;
  readonly #head: number;
  readonly #link: number;
  readonly #name: Reader;
  readonly #index: Reader;
  readonly #budget: Budget;
  readonly #known = new Map<GuestVirtual, Map<number, string>>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#head = kernel.offset("net", "dev_base_head");
    this.#link = kernel.offset("net_device", "dev_list");
    this.#name = kernel.reader("net_device", "name");
    this.#budget = kernel.budget();
    this.#index = kernel.reader("net_device", "ifindex");
  }

  /** Every `struct net_device` of a namespace, in the order in which they were made. */
  devices(net: GuestVirtual, budget: Budget, problem?: (reason: string) => void): GuestVirtual[] {
    return listSnapshot(this.#kernel, net + this.#head, this.#link, budget, problem);
  }

  nameOf(device: GuestVirtual): string | undefined {
    return this.#kernel.space.string(this.#name(device), IFNAMSIZ);
  }

  name(net: GuestVirtual, index: number): string | undefined {
    let names = this.#known.get(net);
    if (names === undefined) {
      names = new Map();
      this.#known.set(net, names);
      for (const device of this.devices(net, this.#budget)) {
        names.set(this.#index(device), this.nameOf(device) ?? "?");
      }
    }
    return names.get(index);
  }
}
