import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { Modules } from "./module.ts";
import { rbEntries } from "./rb-tree.ts";

type Problem = (reason: string) => void;

/** Where a kernel keeps its loaded modules, each found without the others. */
export type ModuleView = "module list" | "sysfs" | "address tree";

/** Addresses of `struct module` by each view that this kernel has. */
export function moduleViews(
  kernel: Kernel,
  problem: Problem,
): ReadonlyMap<ModuleView, ReadonlySet<GuestVirtual>> {
  const views = new Map<ModuleView, ReadonlySet<GuestVirtual>>();
  views.set("module list", new Set(new Modules(kernel).list(kernel.budget(), problem)));
  const sysfs = moduleObjects(kernel, problem);
  if (sysfs !== undefined) views.set("sysfs", sysfs);
  const tree = addressTree(kernel, problem);
  if (tree !== undefined) views.set("address tree", tree);
  return views;
}

/** `module_kset`, behind /sys/module: built-in modules are there too, without a struct module. */
function moduleObjects(kernel: Kernel, problem: Problem): Set<GuestVirtual> | undefined {
  const kset = kernel.space.pointer(kernel.symbol("module_kset"));
  if (!(kset < 0)) return undefined;
  const link = kernel.offset("module_kobject", "kobj.entry");
  const module = kernel.reader("module_kobject", "mod");
  const head = kset + kernel.offset("kset", "list");
  const found = new Set<GuestVirtual>();
  for (const object of listEntries(kernel, head, link, kernel.budget(), problem)) {
    const owner = module(object);
    if (owner < 0) found.add(owner);
  }
  return found;
}

/**
 * `mod_tree` (kernel/module/tree_lookup.c), by which a stack trace finds the module of an address.
 * A latch tree is two red-black trees; the first is as good as the second. The symbol is there
 * since 5.19; before, the tree is static and without a name in every kernel.
 */
function addressTree(kernel: Kernel, problem: Problem): Set<GuestVirtual> | undefined {
  const tree = kernel.symbol("mod_tree");
  const { types } = kernel;
  if (tree !== tree || !types.has("mod_tree_root", "root")) return undefined;
  if (!types.has("mod_tree_node", "node")) return undefined;
  const root = tree + kernel.offset("mod_tree_root", "root.tree");
  const link = kernel.offset("mod_tree_node", "node");
  const module = kernel.reader("mod_tree_node", "mod");
  const found = new Set<GuestVirtual>();
  for (const node of rbEntries(kernel, root, link, kernel.budget(), problem)) {
    const owner = module(node);
    if (owner < 0) found.add(owner);
  }
  return found;
}
