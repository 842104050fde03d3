import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";

/** KPROBE_TABLE_SIZE (kernel/kprobes.c): 1 << KPROBE_HASH_BITS. */
const TABLE_SIZE = 64;

/** A registered probe; an aggregate stands for several at one place. */
export type Kprobe = {
  readonly probe: GuestVirtual;
  /** Where it probes. */
  readonly address: GuestVirtual;
  readonly preHandler: GuestVirtual;
  readonly postHandler: GuestVirtual;
};

/** Every probe in `kprobe_table`; none where the kernel has no kprobes. */
export function* kprobes(kernel: Kernel): Generator<Kprobe> {
  const table = kernel.symbol("kprobe_table");
  if (table !== table || !kernel.types.has("kprobe", "hlist")) return;
  const link = kernel.offset("kprobe", "hlist");
  const address = kernel.reader("kprobe", "addr");
  const pre = kernel.reader("kprobe", "pre_handler");
  // `post_handler` has been there as long as `pre_handler`; a kernel without it would be new.
  const post = kernel.readerOf("kprobe", "post_handler");
  const budget = kernel.budget();
  for (let bucket = 0; bucket < TABLE_SIZE; bucket++) {
    for (const probe of hlistEntries(kernel, table + bucket * 8, link, budget)) {
      yield {
        probe,
        address: address(probe),
        preHandler: pre(probe),
        postHandler: post?.(probe) ?? FAULT,
      };
    }
  }
}
