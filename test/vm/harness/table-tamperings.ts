import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { NetNamespaces } from "../../../src/linux/net-namespace.ts";
import { ProcEntries } from "../../../src/linux/proc-entry.ts";
import { superBlockTables } from "../../../src/linux/super-block-operations.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";
import { forge, linked, makeForeign, scratch } from "./forged-object.ts";

const problem = (reason: string): void => assert.fail(reason);

/** Tables of functions, and where pointers to them lie, that lead somewhere else. */
export function tableTamperings(place: HookPlace): HookTampering[] {
  return [...terminalTamperings(place), ...fileTamperings(place), ...networkTamperings(place)];
}

function terminalTamperings({
  kernel,
  editor,
  moduleFunction,
  nobody,
}: HookPlace): HookTampering[] {
  const receive = kernel.requireSymbol("n_tty_ops") + kernel.offset("tty_ldisc_ops", "receive_buf");
  const drivers = kernel.space.pointer(kernel.requireSymbol("tty_drivers"));
  const driver = drivers - kernel.offset("tty_driver", "tty_drivers");
  return [
    {
      title: "a line discipline's function in a module",
      check: "tty-operations",
      tamper: () => editor.writePointer(receive, moduleFunction),
      says: /receive_buf of n_tty_ops .*leads to code of a module/,
    },
    {
      title: "a driver's table in memory of nobody",
      check: "tty-operations",
      tamper: () => editor.writePointer(driver + kernel.offset("tty_driver", "ops"), nobody),
      says: /operations of terminal driver \S+ lie where no table/,
    },
  ];
}

function fileTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, moduleFunction, nobody } = place;
  const root = kernel.requireSymbol("proc_root_operations");
  const iterate = kernel.offset("file_operations", "iterate_shared");
  const system = [...superBlockTables(kernel, kernel.budget(), problem)].find(
    ({ fileSystem, struct }) => fileSystem.startsWith("sysfs") && struct === "file_operations",
  );
  assert.ok(system !== undefined, "sysfs is mounted");
  return [
    {
      title: "a file of /proc that shows another one's content",
      check: "operations-tables",
      tamper: () =>
        editor.writePointer(
          procSlot(place, "/proc/net/tcp", "seq_operations"),
          kernel.requireSymbol("udp_seq_ops"),
        ),
      says: /seq operations of \/proc\/net\/tcp are not the kernel's own: udp_seq_ops/,
    },
    {
      title: "a file of /proc with a table in memory of nobody",
      check: "operations-tables",
      tamper: () => editor.writePointer(procSlot(place, "/proc/modules", "proc_ops"), nobody),
      says: /proc ops of \/proc\/modules lie where no table/,
    },
    {
      title: "a file of /proc that a module from elsewhere shows",
      check: "operations-tables",
      tamper: () =>
        together(
          makeForeign(place),
          editor.writePointer(procSlot(place, "/proc/uptime", "show"), moduleFunction),
        ),
      says: /show function of \/proc\/uptime leads to code of a module that is not/,
    },
    {
      title: "a folder's table in memory of nobody",
      check: "operations-tables",
      tamper: () => editor.writePointer(system.slot, nobody),
      says: /file operations of sysfs \w* ?lie where no table/,
    },
    {
      title: "a folder that lists nothing, by another table of the kernel's",
      check: "object-operations",
      tamper: () =>
        editor.writePointer(
          rootSlot(place, /^(rootfs|tmpfs) /),
          kernel.requireSymbol("empty_dir_operations"),
        ),
      says: /file operations of .* are those of another file system: empty_dir_operations/,
    },
    {
      title: "/proc without processes, by another table of the kernel's",
      check: "operations-tables",
      tamper: () =>
        editor.writePointer(rootSlot(place, /^proc /), kernel.requireSymbol("proc_dir_operations")),
      says: /file operations of proc proc are not the kernel's own: proc_dir_operations/,
    },
    {
      title: "the function that lists /proc in a module from elsewhere",
      check: "operations-tables",
      tamper: () =>
        together(makeForeign(place), editor.writePointer(root + iterate, moduleFunction)),
      says: /proc_root_operations.*leads to code of a module that is not/,
    },
  ];
}

/** Of the folder at a file system's root. */
function rootSlot({ kernel }: HookPlace, name: RegExp): GuestVirtual {
  const found = [...superBlockTables(kernel, kernel.budget(), problem)].find(
    ({ fileSystem, struct }) => name.test(fileSystem) && struct === "file_operations",
  );
  assert.ok(found !== undefined);
  return found.slot;
}

function procSlot({ kernel }: HookPlace, path: string, role: string): GuestVirtual {
  const entries = new ProcEntries(kernel);
  const [net] = new NetNamespaces(kernel).all(kernel.budget(), problem);
  const roots = [
    [kernel.requireSymbol("proc_root"), ""],
    [kernel.reader("net", "proc_net")(net), "/proc/net"],
  ] as const;
  for (const [root, name] of roots) {
    for (const pointer of entries.below(root, name, kernel.budget(), problem)) {
      if (pointer.path === path && pointer.role === role) return pointer.slot;
    }
  }
  return assert.fail(`${path} has no ${role}`);
}

/** In a guest without a firewall no packet meets what is planted here. */
function networkTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, nobody, moduleFunction } = place;
  const hooks = scratch(place);
  const points = kernel.requireSymbol("init_net") + kernel.offset("net", "nf.hooks_ipv4");
  const entry = hooks + kernel.offset("nf_hook_entries", "hooks");
  const hook = (target: GuestVirtual): (() => void) =>
    together(
      editor.write(hooks, new Uint8Array(256)),
      editor.write(
        hooks + kernel.offset("nf_hook_entries", "num_hook_entries"),
        Uint8Array.of(1, 0),
      ),
      editor.writePointer(entry + kernel.offset("nf_hook_entry", "hook"), target),
      editor.writePointer(entry + kernel.types.size("nf_hook_entry"), hooks),
      editor.writePointer(points, hooks),
    );
  return [
    {
      title: "a hook in memory of nobody",
      check: "netfilter",
      tamper: () => hook(nobody),
      says: /netfilter hook \(ipv4 prerouting\) leads to memory of nobody/,
    },
    {
      title: "a hook in a module from elsewhere",
      check: "netfilter",
      tamper: () => together(makeForeign(place), hook(moduleFunction)),
      says: /netfilter hook \(ipv4 prerouting\) leads to code of a module/,
    },
    {
      title: "a handler in memory of nobody",
      check: "packet-handlers",
      tamper: () => plantHandler(place),
      says: /handler of packets \(0x881f\) leads to memory of nobody/,
    },
  ];
}

/** A protocol that nobody sends, in the last list of `ptype_base`. */
function plantHandler(place: HookPlace): () => void {
  const { kernel, editor, nobody } = place;
  const handler = scratch(place);
  const head = kernel.requireSymbol("ptype_base") + 15 * 16;
  assert.equal(kernel.space.pointer(head), head, "that list is empty");
  return together(
    forge(place, "packet_type", handler, { func: nobody }),
    editor.write(handler + kernel.offset("packet_type", "type"), Uint8Array.of(0x88, 0x1f)),
    linked(place, head, handler + kernel.offset("packet_type", "list")),
  );
}
