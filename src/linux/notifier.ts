import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A callback of a notifier chain (struct notifier_block, include/linux/notifier.h). */
export type Notifier = { readonly block: GuestVirtual; readonly call: GuestVirtual };

/** Which kind of head a chain has decides where its list starts. */
export type ChainKind = "atomic" | "blocking" | "raw" | "srcu";

/** The longest chain that is believed; the kernel's have a dozen or two. */
const MAX_NOTIFIERS = 4096;

/** The callbacks of a chain in their order; `problem` is told where it cannot be followed to its end. */
export function* notifiers(
  kernel: Kernel,
  chain: GuestVirtual,
  kind: ChainKind,
  problem: (reason: string) => void,
): Generator<Notifier> {
  const call = kernel.reader("notifier_block", "notifier_call");
  const next = kernel.reader("notifier_block", "next");
  let block = kernel.reader(`${kind}_notifier_head`, "head")(chain);
  for (let count = 0; block !== 0; count++) {
    if (block !== block || count === MAX_NOTIFIERS) {
      problem(`the notifier chain at ${kernel.format(chain)} cannot be read to its end`);
      return;
    }
    yield { block, call: call(block) };
    block = next(block);
  }
}
