import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { FaultCount } from "./callback.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import { rbEntries } from "./rb-tree.ts";

/** A place in a program or library at which the kernel stops whoever runs it. */
export type Uprobe = {
  readonly uprobe: GuestVirtual;
  /** The file's `struct inode`. */
  readonly inode: GuestVirtual;
  /** Offset in the file. */
  readonly offset: number;
  readonly handlers: readonly UprobeHandler[];
};

/** `handler` at the place, `ret_handler` when its function returns, `filter` for which processes. */
export type UprobeHandler = {
  readonly consumer: GuestVirtual;
  readonly name: "handler" | "ret_handler" | "filter";
  readonly target: GuestVirtual;
};

const HANDLERS = ["handler", "ret_handler", "filter"] as const;
const MAX_CONSUMERS = 1024;

/** Every probe in `uprobes_tree` (kernel/events/uprobes.c), by file and offset. */
export function* uprobes(kernel: Kernel, budget: Budget, problem: Problem): Generator<Uprobe> {
  const root = kernel.symbol("uprobes_tree");
  if (root !== root || !kernel.types.has("uprobe", "rb_node")) return;
  const inode = kernel.reader("uprobe", "inode");
  const offset = kernel.reader("uprobe", "offset");
  const link = kernel.offset("uprobe", "rb_node");
  const faults = new FaultCount(problem);
  for (const uprobe of rbEntries(kernel, root, link, budget, problem)) {
    if (faults.tooMany) return problem("uprobes were left out");
    const handlers = consumers(kernel, uprobe, budget, faults.tell).flatMap((consumer) =>
      handlersOf(kernel, consumer),
    );
    yield { uprobe, inode: inode(uprobe), offset: offset(uprobe), handlers };
  }
  return undefined;
}

/** A chain of their own until 6.11, then a list. */
function consumers(
  kernel: Kernel,
  uprobe: GuestVirtual,
  budget: Budget,
  problem: Problem,
): GuestVirtual[] {
  const first = kernel.reader("uprobe", "consumers")(uprobe);
  if (kernel.types.has("uprobe_consumer", "cons_node")) {
    const link = kernel.offset("uprobe_consumer", "cons_node");
    return listSnapshot(kernel, first, link, budget, problem);
  }
  const next = kernel.reader("uprobe_consumer", "next");
  const found: GuestVirtual[] = [];
  for (let each = first; each !== 0; each = next(each)) {
    if (each !== each || found.length === MAX_CONSUMERS) {
      problem("the consumers of a uprobe cannot be read to their end");
      break;
    }
    found.push(each);
  }
  return found;
}

function handlersOf(kernel: Kernel, consumer: GuestVirtual): UprobeHandler[] {
  return HANDLERS.flatMap((name) => {
    const target = kernel.reader("uprobe_consumer", name)(consumer);
    return target === 0 ? [] : [{ consumer, name, target }];
  });
}
