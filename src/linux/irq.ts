import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback, Problem } from "./callback.ts";
import { functionMembers } from "./function-members.ts";
import type { Kernel } from "./kernel.ts";
import { MapleTrees } from "./maple-tree.ts";
import { XArrays } from "./xarray.ts";

const ATTEMPTS = 8;
const MAX_ACTIONS = 256;
const MAX_NAME = 64;

/**
 * What is called when an interrupt comes: its flow handler, the functions of its chip, and the
 * handlers that drivers registered (struct irq_desc, include/linux/irqdesc.h).
 */
export function* irqCallbacks(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<Callback> {
  const chips = new Set<GuestVirtual>();
  const number = kernel.reader("irq_desc", "irq_data.irq");
  const flow = kernel.reader("irq_desc", "handle_irq");
  const chipOf = kernel.reader("irq_desc", "irq_data.chip");
  for (const desc of descriptors(kernel, budget, problem)) {
    const irq = number(desc);
    yield { what: `flow handler of interrupt ${irq}`, function: flow(desc), holder: desc };
    yield* actions(kernel, desc, irq, problem);
    const chip = chipOf(desc);
    if (!(chip < 0) || chips.has(chip)) continue;
    chips.add(chip);
    yield* chipFunctions(kernel, chip);
  }
}

/** Of all interrupts: in a radix tree, since 6.5 in a maple tree (kernel/irq/irqdesc.c). */
function descriptors(kernel: Kernel, budget: Budget, problem: Problem): GuestVirtual[] {
  const tree = kernel.symbol("sparse_irqs");
  if (tree === tree && MapleTrees.known(kernel)) {
    const trees = new MapleTrees(kernel);
    let found = trees.entries(tree, budget);
    for (let attempt = 1; found === undefined && attempt < ATTEMPTS; attempt++) {
      kernel.lookLater(attempt, budget);
      found = trees.entries(tree, budget);
    }
    if (found === undefined) problem("the tree of interrupts cannot be read");
    return found ?? [];
  }
  const root = kernel.requireSymbol("irq_desc_tree");
  return Array.from(new XArrays(kernel).entries(root, budget, problem), ({ pointer }) => pointer);
}

function* actions(
  kernel: Kernel,
  desc: GuestVirtual,
  irq: number,
  problem: Problem,
): Generator<Callback> {
  const next = kernel.reader("irqaction", "next");
  const name = kernel.reader("irqaction", "name");
  let action = kernel.reader("irq_desc", "action")(desc);
  for (let count = 0; action !== 0; count++) {
    if (action !== action || count === MAX_ACTIONS) {
      return problem(`the handlers of interrupt ${irq} cannot be read`);
    }
    const text = kernel.space.string(name(action), MAX_NAME) ?? "";
    for (const member of ["handler", "thread_fn"]) {
      const call = kernel.reader("irqaction", member)(action);
      const role = member === "handler" ? "handler" : "thread";
      const what = `${role} of interrupt ${irq} (${text})`;
      if (call !== 0) yield { what, function: call, holder: action };
    }
    action = next(action);
  }
  return undefined;
}

function* chipFunctions(kernel: Kernel, chip: GuestVirtual): Generator<Callback> {
  const name = kernel.space.string(kernel.reader("irq_chip", "name")(chip), MAX_NAME) ?? "";
  for (const member of functionMembers(kernel, "irq_chip")) {
    const call = kernel.space.pointer(chip + member.offset);
    const what = `function ${member.name} of interrupt chip ${name}`;
    if (call !== 0) yield { what, function: call, holder: chip };
  }
}
