import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Problem } from "./callback.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";
import { NetNamespaces } from "./net-namespace.ts";
import { DeviceNames } from "./netdevice-names.ts";

/** A table of functions that a device leads to. */
export type DeviceTable = {
  /** `network device lo`, `character device 1:0`. */
  readonly device: string;
  readonly member: string;
  readonly struct: string;
  readonly slot: GuestVirtual;
  readonly table: GuestVirtual;
  /** What lies in the module that brought the device: its `struct module` or an object of its; 0 for the kernel's own, undefined where nothing tells. */
  readonly maker: GuestVirtual | undefined;
};

/** IFF_LOOPBACK (include/uapi/linux/if.h). */
const IFF_LOOPBACK = 0x8;
const NETWORK_TABLES: readonly (readonly [member: string, struct: string])[] = [
  ["netdev_ops", "net_device_ops"],
  ["ethtool_ops", "ethtool_ops"],
  ["header_ops", "header_ops"],
];

/** Of the network devices of every namespace (include/linux/netdevice.h). */
export function* networkDeviceTables(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<DeviceTable> {
  const names = new DeviceNames(kernel);
  const makerOf = networkMaker(kernel);
  for (const net of new NetNamespaces(kernel).all(budget, problem)) {
    for (const device of names.devices(net, budget, problem)) {
      const maker = makerOf(device);
      const name = `network device ${names.nameOf(device) ?? "without a name"}`;
      for (const [member, struct] of NETWORK_TABLES) {
        // Kernels leave out what they are built without.
        if (!kernel.types.has("net_device", member)) continue;
        const slot = device + kernel.offset("net_device", member);
        yield { device: name, member, struct, slot, table: kernel.space.pointer(slot), maker };
      }
    }
  }
}

/** By the driver of the hardware that it stands for, or by who makes devices of its kind. */
function networkMaker(kernel: Kernel): (device: GuestVirtual) => GuestVirtual | undefined {
  const parent = kernel.reader("net_device", "dev.parent");
  const driver = kernel.reader("device", "driver");
  const owner = kernel.reader("device_driver", "owner");
  const kind = kernel.reader("net_device", "rtnl_link_ops");
  const flags = kernel.reader("net_device", "flags");
  return (device) => {
    const hardware = parent(device);
    const driving = hardware < 0 ? driver(hardware) : 0;
    if (driving < 0) return owner(driving) < 0 ? owner(driving) : driving;
    const made = kind(device);
    if (made < 0) return made;
    return (flags(device) & IFF_LOOPBACK) === 0 ? undefined : 0;
  };
}

/** `cdev_map` has a list for each major number modulo this (drivers/base/map.c). */
const MAP_SIZE = 255;
const MINOR_BITS = 20;
/**
 * Majors of the kernel's own, in which nobody else has devices (Documentation/admin-guide/devices.txt):
 * memory, terminals and consoles, input, pseudo terminals.
 */
const OWN_MAJORS: ReadonlySet<number> = new Set([
  1, 4, 5, 7, 13, 136, 137, 138, 139, 140, 141, 142, 143,
]);

/** Whether the kernel itself has the character devices of that number (`i_rdev`). */
export function isOwnDevice(device: number): boolean {
  return OWN_MAJORS.has(device >>> MINOR_BITS);
}

/** Of each range of character devices, what is called when one is opened (`cdev_map`, fs/char_dev.c). */
export function* characterDeviceTables(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<DeviceTable> {
  const map = kernel.space.pointer(kernel.symbol("cdev_map"));
  const members = ["next", "dev", "data"] as const;
  if (!(map < 0) || members.some((member) => !kernel.types.has("probe", member))) {
    return problem("the numbers of character devices cannot be read");
  }
  const [next, number, data] = members.map((member) => kernel.reader("probe", member));
  const owner = kernel.reader("cdev", "owner");
  const offset = kernel.offset("cdev", "ops");
  const lists = map + kernel.offset("kobj_map", "probes");
  for (let index = 0; index < MAP_SIZE; index++) {
    const watch = new CircleWatch();
    let probe = kernel.space.pointer(lists + index * 8);
    for (; probe < 0 && budget.step(); probe = next!(probe)) {
      if (watch.isBack(probe)) return problem("the numbers of character devices run in a circle");
      const cdev = data!(probe);
      // Each list ends with one that has the right module loaded.
      if (!(cdev < 0)) continue;
      const dev = number!(probe);
      yield {
        device: `character device ${dev >>> MINOR_BITS}:${dev % 2 ** MINOR_BITS}`,
        member: "ops",
        struct: "file_operations",
        slot: cdev + offset,
        table: kernel.space.pointer(cdev + offset),
        maker: isOwnDevice(dev) ? 0 : owner(cdev),
      };
    }
    if (probe !== probe) problem("the numbers of character devices cannot be read to their end");
  }
  return undefined;
}
