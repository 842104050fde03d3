import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { characterDeviceTables, networkDeviceTables } from "../../../src/linux/device-tables.ts";
import { FdTables } from "../../../src/linux/fd-table.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { ModuleMemory } from "../../../src/linux/module-memory.ts";
import { registries } from "../../../src/linux/registered-callbacks.ts";
import { messageHandlers } from "../../../src/linux/rtnetlink.ts";
import { SocketFunctions } from "../../../src/linux/socket-functions.ts";
import { readSockets } from "../../../src/linux/sockets.ts";
import { superBlockTables } from "../../../src/linux/super-block-operations.ts";
import { Tasks } from "../../../src/linux/task.ts";
import { ttyOperations } from "../../../src/linux/tty.ts";
import { VmaLists } from "../../../src/linux/vma-list.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";
import { forge, makeForeign, scratch } from "./forged-object.ts";
import type { RamEditor } from "./ram-editor.ts";

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
      () =>
        [...ttyOperations(kernel, [], budget, problem)].find(({ what }) =>
          what.startsWith("terminal driver"),
        ),
      /operations of terminal driver .* are those of a module that has nothing/,
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
      "what schedules one thread",
      "task-functions",
      () => ({
        slot: sleeper(place) + kernel.offset("task_struct", "sched_class"),
        struct: "sched_class",
      }),
      /sched_class of task \d+ \(.*\) are those of a module that has nothing/,
    ],
    [
      "what fills one mapping's pages",
      "object-operations",
      () => mapping(place),
      /vm operations struct of .* are those of a module that has nothing/,
    ],
    [
      "an open /dev/null",
      "object-operations",
      () => openDevice(place),
      /file operations of \/dev\/null are those of a module that has nothing/,
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
  return [...tables, ...netlinkTamperings(place), ...taskTamperings(place)];
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
    {
      title: "a waiter for a socket in a module from elsewhere",
      check: "socket-functions",
      tamper: () => together(makeForeign(place), plantWaiter(place, moduleFunction)),
      says: /waiter for a socket leads to code of a module that is not/,
    },
  ];
}

/** In the wait queue of a socket of the kernel's own, at which nothing happens. */
function plantWaiter(place: HookPlace, target: GuestVirtual): () => void {
  const { kernel, editor } = place;
  const sockets = readSockets(kernel, ["hash"], kernel.budget(), problem);
  const socket = sockets.find(({ kernel: own, family }) => own === true && family === "netlink");
  assert.ok(socket !== undefined && socket.socket < 0);
  const head = socket.socket + kernel.offset("socket", "wq.wait.head");
  const waiter = scratch(place);
  const entry = waiter + kernel.offset("wait_queue_entry", "entry");
  const [next, previous] = [kernel.space.pointer(head), head];
  return together(
    forge(place, "wait_queue_entry", waiter, {
      func: target,
      "entry.next": next,
      "entry.prev": previous,
    }),
    editor.writePointer(next + 8, entry),
    editor.writePointer(head, entry),
  );
}

/** A thread of the kernel that wakes every two minutes. */
function sleeper({ kernel }: HookPlace): GuestVirtual {
  const tasks = new Tasks(kernel);
  const found = tasks.processes(kernel.budget()).find((task) => tasks.comm(task) === "khungtaskd");
  assert.ok(found !== undefined);
  return found;
}

function userTasks({ kernel }: HookPlace): GuestVirtual[] {
  const tasks = new Tasks(kernel);
  return tasks.processes(kernel.budget()).filter((task) => tasks.mm(task) < 0);
}

function mapping(place: HookPlace): Target | undefined {
  const { kernel } = place;
  const tasks = new Tasks(kernel);
  const lists = new VmaLists(kernel);
  const offset = kernel.offset("vm_area_struct", "vm_ops");
  const file = kernel.reader("vm_area_struct", "vm_file");
  const area = userTasks(place)
    .flatMap((task) => lists.areas(tasks.mm(task), kernel.budget()))
    .find((vma) => file(vma) < 0 && kernel.space.pointer(vma + offset) < 0);
  return area === undefined ? undefined : { slot: area + offset, struct: "vm_operations_struct" };
}

function openFiles(place: HookPlace): GuestVirtual[] {
  const { kernel } = place;
  const { files } = new Tasks(kernel);
  const descriptors = new FdTables(kernel);
  return userTasks(place).flatMap((task) =>
    [...descriptors.descriptors(files(task), kernel.budget())].map(({ file }) => file),
  );
}

function openDevice(place: HookPlace): Target | undefined {
  const { kernel } = place;
  const offset = kernel.offset("file", "f_op");
  const own = kernel.requireSymbol("null_fops");
  const file = openFiles(place).find((each) => kernel.space.pointer(each + offset) === own);
  return file === undefined ? undefined : { slot: file + offset, struct: "file_operations" };
}

/** The test has a process that has such a file open. */
function taskTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, moduleFunction } = place;
  const start = kernel.requireSymbol("single_start");
  const content = kernel.reader("file", "private_data");
  return [
    {
      title: "how a thread's system call starts anew in a module",
      check: "task-functions",
      tamper: () =>
        editor.writePointer(
          sleeper(place) + kernel.offset("task_struct", "restart_block.fn"),
          moduleFunction,
        ),
      says: /restart_block.fn of task \d+ \(khungtaskd\) leads to code of a module/,
    },
    {
      title: "the lines of an open file of /proc in a module from elsewhere",
      check: "object-operations",
      tamper: () => {
        const table = openFiles(place)
          .map((file) => kernel.space.pointer(content(file) + kernel.offset("seq_file", "op")))
          .find((each) => each < 0 && kernel.space.pointer(each) === start);
        assert.ok(table !== undefined, "a file of a single line is open");
        const slot = table + kernel.offset("seq_operations", "show");
        return together(makeForeign(place), editor.writePointer(slot, moduleFunction));
      },
      says: /Function show of .*\/proc\/uptime.* leads to code of a module that is not/,
    },
  ];
}

/** Gives the master of a pseudo terminal, which a process is controlled by, a console's functions. */
export function otherTerminal(kernel: Kernel, editor: RamEditor): () => void {
  kernel.refresh();
  const tasks = new Tasks(kernel).processes(kernel.budget());
  const tables = [...ttyOperations(kernel, tasks, kernel.budget(), problem)];
  const master = tables.find(isNamed("terminal ptm0"));
  assert.ok(master !== undefined);
  return editor.writePointer(master.slot, kernel.requireSymbol("con_ops"));
}
