import type { Kernel } from "./kernel.ts";

/** A bit of `task_struct.flags` that a thread of a user program has no use for. */
export type ForeignFlag = {
  readonly bit: number;
  readonly name: string;
  /** The kernel sets it within a stretch of its own work: wrong only in a thread that sleeps. */
  readonly transient: boolean;
};

/**
 * The bits of include/linux/sched.h (5.10 to 7.3) that no thread of a user program has, and those
 * that have no meaning at all. Where a bit was given away in some release, a symbol or member that
 * came with it decides.
 */
export function foreignFlags(kernel: Kernel): readonly ForeignFlag[] {
  // The freezer was rewritten in 6.1 (f5d39b020809): PF_FROZEN and PF_FREEZER_SKIP went.
  const newFreezer = Number.isFinite(kernel.symbol("freezer_active"));
  // Until 6.8 a plug kept no time (06b23f92af87), and its bit meant nothing.
  const blockTime = kernel.types.has("blk_plug", "cur_ktime");
  // PF_MEMALLOC_PIN (1a08ae36cf8b, 5.14) took over the bit of PF_MEMALLOC_NOCMA.
  return [
    { bit: 0x2, name: "PF_IDLE", transient: false },
    { bit: 0x20, name: "PF_WQ_WORKER", transient: false },
    { bit: 0x2_0000, name: "PF_KSWAPD", transient: false },
    { bit: 0x200_0000, name: "a bit without meaning", transient: false },
    { bit: 0x1000_0000, name: "PF_MEMALLOC_PIN", transient: true },
    ...(newFreezer
      ? [
          { bit: 0x1_0000, name: "PF_KCOMPACTD or none", transient: false },
          { bit: 0x4000_0000, name: "a bit without meaning", transient: true },
        ]
      : []),
    ...(blockTime ? [] : [{ bit: 0x2000_0000, name: "a bit without meaning", transient: false }]),
  ];
}
