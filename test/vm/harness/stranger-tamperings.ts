import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { characterDeviceTables, networkDeviceTables } from "../../../src/linux/device-tables.ts";
import { ModuleMemory } from "../../../src/linux/module-memory.ts";
import { registries } from "../../../src/linux/registered-callbacks.ts";
import { messageHandlers } from "../../../src/linux/rtnetlink.ts";
import { SocketFunctions } from "../../../src/linux/socket-functions.ts";
import { readSockets } from "../../../src/linux/sockets.ts";
import { superBlockTables } from "../../../src/linux/super-block-operations.ts";
import { ttyOperations } from "../../../src/linux/tty.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";
import { makeForeign } from "./list-tamperings.ts";

const problem = (reason: string): void => assert.fail(reason);

/** What is exchanged: where the pointer to it lies, and how large the struct is. */
type Target = { readonly slot: GuestVirtual; readonly struct: string };

/**
 * Tables that were copied into a module from elsewhere, which leads on to the kernel's functions:
 * nothing about the table is wrong but whose it is.
 */
export function strangerTamperings(place: HookPlace): HookTampering[] {
  const { kernel } = place;
  const budget = kernel.budget();
  const copies: readonly (readonly [string, string, () => Target | undefined, RegExp])[] = [
    [
      "a terminal's functions",
      "tty-operations",
      () => [...ttyOperations(kernel, [], budget, problem)].find(isNamed("terminal ttyS0")),
      /operations of terminal ttyS0 are not the kernel's own/,
    ],
    [
      "a terminal driver's functions",
      "tty-operations",
      () => [...ttyOperations(kernel, [], budget, problem)].find(isNamed("terminal driver serial")),
      /operations of terminal driver serial are those of a module that has nothing/,
    ],
    [
      "a file system's functions",
      "operations-tables",
      () =>
        [...superBlockTables(kernel, budget, problem)].find(
          ({ fileSystem, struct }) =>
            fileSystem.startsWith("sysfs") && struct === "super_operations",
        ),
      /super operations of sysfs \w* ?are those of a module that has nothing/,
    ],
    [
      "a network device's functions",
      "device-operations",
      () =>
        [...networkDeviceTables(kernel, budget, problem)].find(
          ({ device, member }) => device === "network device lo" && member === "netdev_ops",
        ),
      /netdev ops of network device lo are those of a module that has nothing/,
    ],
    [
      "the functions of the kernel's memory devices",
      "device-operations",
      () =>
        [...characterDeviceTables(kernel, budget, problem)].find(({ device }) =>
          device.startsWith("character device 1:"),
        ),
      /ops of character device 1:0 are those of a module that has nothing/,
    ],
    [
      "who gets ICMP",
      "registered-callbacks",
      () => entry(place, "inet_protos", 1),
      /entry 1 of inet_protos are those of a module that has nothing/,
    ],
    [
      "who makes packet sockets",
      "registered-callbacks",
      () => entry(place, "net_families", 2),
      /entry 2 of net_families are those of a module that has nothing/,
    ],
  ];
  const tables = copies.map(([title, check, target, says]): HookTampering => {
    const tamper = (): (() => void) => {
      const found = target();
      assert.ok(found !== undefined, title);
      return copyAway(place, found);
    };
    return { title: `${title} in a module from elsewhere`, check, tamper, says };
  });
  return [...tables, ...netlinkTamperings(place)];
}

function isNamed(name: string): (each: { readonly what: string }) => boolean {
  return ({ what }) => what === name;
}

function entry({ kernel }: HookPlace, symbol: string, index: number): Target {
  const registry = registries.find((each) => each.symbol === symbol);
  assert.ok(registry !== undefined);
  return { slot: kernel.requireSymbol(symbol) + index * 8, struct: registry.struct };
}

/** Into the end of the module's data, which fills up its last page. */
function copyAway(place: HookPlace, { slot, struct }: Target): () => void {
  const { kernel, editor, module } = place;
  const size = kernel.types.size(struct);
  const data = new ModuleMemory(kernel).parts(module).find(({ kind }) => kind === "data");
  assert.ok(data !== undefined);
  const copy = data.base + data.size - Math.ceil(size / 64) * 64;
  const table = kernel.space.bytes(kernel.space.pointer(slot), size);
  const before = kernel.space.bytes(copy, size);
  assert.ok(table !== undefined && before?.every((byte) => byte === 0) === true);
  return together(
    makeForeign(place),
    editor.write(copy, Uint8Array.from(table)),
    editor.writePointer(slot, copy),
  );
}

/** Nobody asks for a device or an address while these stand. */
function netlinkTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, moduleFunction } = place;
  return [
    {
      title: "an answer of rtnetlink by a module from elsewhere",
      check: "registered-callbacks",
      tamper: () => {
        const [handler] = messageHandlers(kernel, kernel.budget());
        assert.ok(handler !== undefined);
        const slot = handler.holder + kernel.offset("rtnl_link", handler.what.split(" ")[0]!);
        return together(makeForeign(place), editor.writePointer(slot, moduleFunction));
      },
      says: /rtnetlink message \d+ of family \d+ leads to code of a module that is not/,
    },
    {
      title: "the kernel's end of a netlink socket in a module from elsewhere",
      check: "socket-functions",
      tamper: () => {
        const functions = new SocketFunctions(kernel);
        const slot = readSockets(kernel, ["hash"], kernel.budget(), problem)
          .flatMap(({ sock, socket }) => [...functions.of(sock, socket)])
          .find(({ name }) => name === "netlink_rcv")?.slot;
        assert.ok(slot !== undefined);
        return together(makeForeign(place), editor.writePointer(slot, moduleFunction));
      },
      says: /netlink_rcv of a socket \(netlink .*leads to code of a module that is not/,
    },
  ];
}
