import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";
import { Modules } from "./module.ts";
import { objectView } from "./object-views.ts";
import type { ObjectView } from "./object-views.ts";
import { rbEntries } from "./rb-tree.ts";

type Problem = (reason: string) => void;

/** Where a kernel keeps its loaded modules, each found without the others. */
export type ModuleView = "module list" | "sysfs" | "address tree";

/** Addresses of `struct module` by each view that this kernel has. */
export function moduleViews(kernel: Kernel, problem: Problem): ReadonlyMap<ModuleView, ObjectView> {
  const readers: [ModuleView, ReadView | undefined][] = [
    ["module list", (fault) => new Modules(kernel).list(kernel.budget(), fault)],
    ["sysfs", moduleObjects(kernel)],
    ["address tree", addressTree(kernel)],
  ];
  return new Map(
    readers.flatMap(([name, read]) =>
      read === undefined ? [] : [[name, objectView(read, problem)] as const],
    ),
  );
}

type ReadView = (problem: Problem) => Generator<GuestVirtual>;

/** `module_kset`, behind /sys/module: built-in modules are there too, without a struct module. */
function moduleObjects(kernel: Kernel): ReadView | undefined {
  const kset = kernel.space.pointer(kernel.symbol("module_kset"));
  if (!(kset < 0)) return undefined;
  const link = kernel.offset("module_kobject", "kobj.entry");
  const module = kernel.reader("module_kobject", "mod");
  const head = kset + kernel.offset("kset", "list");
  return (problem) => owners(module, listEntries(kernel, head, link, kernel.budget(), problem));
}

/**
 * `mod_tree` (kernel/module/tree_lookup.c), by which a stack trace finds the module of an address.
 * A latch tree is two red-black trees; the first is as good as the second. The symbol is there
 * since 5.19; before, the tree is static and without a name in every kernel.
 */
function addressTree(kernel: Kernel): ReadView | undefined {
  const tree = kernel.symbol("mod_tree");
  const { types } = kernel;
  if (tree !== tree || !types.has("mod_tree_root", "root")) return undefined;
  if (!types.has("mod_tree_node", "node")) return undefined;
  const root = tree + kernel.offset("mod_tree_root", "root.tree");
  const link = kernel.offset("mod_tree_node", "node");
  const module = kernel.reader("mod_tree_node", "mod");
  return (problem) => owners(module, rbEntries(kernel, root, link, kernel.budget(), problem));
}

function* owners(module: Reader, entries: Iterable<GuestVirtual>): Generator<GuestVirtual> {
  for (const entry of entries) {
    const owner = module(entry);
    if (owner < 0) yield owner;
  }
}
