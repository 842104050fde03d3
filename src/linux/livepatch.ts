import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Problem } from "./callback.ts";
import { functionMembers } from "./function-members.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";

/** A patch that replaces functions of the running kernel (struct klp_patch, include/linux/livepatch.h). */
export type Livepatch = {
  readonly patch: GuestVirtual;
  /** The module that brought it: `struct module`. */
  readonly module: GuestVirtual;
  readonly enabled: boolean;
  /** Tasks are being moved over to it, or back. */
  readonly transition: boolean;
  /** It was forced upon tasks that could not be moved safely. */
  readonly forced: boolean;
  readonly functions: readonly PatchedFunction[];
  /** What is called before and after it is applied or taken back. */
  readonly callbacks: readonly { readonly name: string; readonly target: GuestVirtual }[];
};

export type PatchedFunction = {
  /** Of the function that is replaced, and its module; undefined for the kernel itself. */
  readonly name: string;
  readonly object: string | undefined;
  /** Where the old function starts, and the new one; 0 where that is not loaded. */
  readonly from: GuestVirtual;
  readonly to: GuestVirtual;
  /** It only puts back what an earlier patch replaced. */
  readonly nop: boolean;
};

const MAX_NAME = 512;

/** Every patch on `klp_patches` (kernel/livepatch/core.c); none where the kernel has no livepatch. */
export function* livepatches(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<Livepatch> {
  const head = kernel.symbol("klp_patches");
  if (head !== head || !kernel.types.has("klp_patch", "obj_list")) return;
  const field = (member: string) => kernel.reader("klp_patch", member);
  const moving = kernel.space.pointer(kernel.symbol("klp_transition_patch"));
  const objectLink = kernel.offset("klp_object", "node");
  const link = kernel.offset("klp_patch", "list");
  for (const patch of listSnapshot(kernel, head, link, budget, problem)) {
    const heads = field("obj_list")(patch);
    const objects = listSnapshot(kernel, heads, objectLink, budget, problem);
    yield {
      patch,
      module: field("mod")(patch),
      enabled: field("enabled")(patch) === 1,
      transition: moving === patch,
      forced: field("forced")(patch) === 1,
      functions: objects.flatMap((object) => functionsOf(kernel, object, budget, problem)),
      callbacks: objects.flatMap((object) => callbacksOf(kernel, object)),
    };
  }
}

function functionsOf(
  kernel: Kernel,
  object: GuestVirtual,
  budget: Budget,
  problem: Problem,
): PatchedFunction[] {
  const text = (address: GuestVirtual): string | undefined =>
    address === 0 ? undefined : kernel.space.string(address, MAX_NAME);
  const field = (member: string) => kernel.reader("klp_func", member);
  const module = text(kernel.reader("klp_object", "name")(object));
  const head = kernel.reader("klp_object", "func_list")(object);
  const link = kernel.offset("klp_func", "node");
  return listSnapshot(kernel, head, link, budget, problem).map((each) => ({
    name: text(field("old_name")(each)) ?? "",
    object: module,
    from: field("old_func")(each),
    to: field("new_func")(each),
    nop: field("nop")(each) === 1,
  }));
}

function callbacksOf(
  kernel: Kernel,
  object: GuestVirtual,
): { name: string; target: GuestVirtual }[] {
  const callbacks = kernel.readerOf("klp_object", "callbacks")?.(object);
  if (callbacks === undefined) return [];
  return functionMembers(kernel, "klp_callbacks").flatMap(({ name, offset }) => {
    const target = kernel.space.pointer(callbacks + offset);
    return target === 0 ? [] : [{ name, target }];
  });
}
