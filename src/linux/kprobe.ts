import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";

/** KPROBE_TABLE_SIZE (kernel/kprobes.c): 1 << KPROBE_HASH_BITS. */
const TABLE_SIZE = 64;
/** DISP32_SIZE: what a jump overwrites behind its opcode (arch/x86/include/asm/kprobes.h). */
const COPIED = 4;

/** A registered probe; an aggregate stands for several at one place. */
export type Kprobe = {
  readonly probe: GuestVirtual;
  /** Where it probes. */
  readonly address: GuestVirtual;
  readonly preHandler: GuestVirtual;
  readonly postHandler: GuestVirtual;
  /** The first byte of what it replaced. */
  readonly opcode: number;
  /** The four bytes behind that, for a probe that may be optimised to a jump. */
  readonly copied: Uint8Array | undefined;
};

/**
 * Every probe in `kprobe_table`; none where the kernel has no kprobes. `problem` is told where the
 * table could not be read to its end.
 */
export function* kprobes(kernel: Kernel, problem: (reason: string) => void): Generator<Kprobe> {
  const table = kernel.symbol("kprobe_table");
  if (table !== table || !kernel.types.has("kprobe", "hlist")) return;
  const link = kernel.offset("kprobe", "hlist");
  const address = kernel.reader("kprobe", "addr");
  const pre = kernel.reader("kprobe", "pre_handler");
  // `post_handler` has been there as long as `pre_handler`; a kernel without it would be new.
  const post = kernel.readerOf("kprobe", "post_handler");
  const opcode = kernel.reader("kprobe", "opcode");
  const copied = copiedBytes(kernel);
  const budget = kernel.budget();
  for (let bucket = 0; bucket < TABLE_SIZE; bucket++) {
    for (const probe of hlistEntries(kernel, table + bucket * 8, link, budget, problem)) {
      yield {
        probe,
        address: address(probe),
        preHandler: pre(probe),
        postHandler: post?.(probe) ?? FAULT,
        opcode: opcode(probe) & 0xff,
        copied: copied(probe),
      };
    }
  }
}

/** `optimized_kprobe` wraps a kprobe; only what is one by its jump is read as one. */
function copiedBytes(kernel: Kernel): (probe: GuestVirtual) => Uint8Array | undefined {
  if (!kernel.types.has("optimized_kprobe", "optinsn.copied_insn")) return () => undefined;
  const inner = kernel.offset("optimized_kprobe", "kp");
  const bytes = kernel.offset("optimized_kprobe", "optinsn.copied_insn");
  return (probe) => kernel.space.bytes(probe - inner + bytes, COPIED);
}
