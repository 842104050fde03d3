import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { kprobes } from "./kprobe.ts";
import { listEntries } from "./list.ts";

/** What is called when a probe is hit. */
export type KprobeHandler = {
  readonly probe: GuestVirtual;
  /** Where it probes. */
  readonly address: GuestVirtual;
  /** `pre_handler`, `post_handler`; of a return probe also `handler`, `entry_handler`. */
  readonly name: string;
  readonly target: GuestVirtual;
};

const PROBE_HANDLERS = ["pre_handler", "post_handler", "fault_handler"];
const RETURN_HANDLERS = ["handler", "entry_handler"];

/**
 * Handlers of every registered probe. Where several probe one place, an aggregate stands in the
 * table and leads to them; a return probe is a probe whose handler leads to its own (kernel/kprobes.c).
 */
export function* kprobeHandlers(
  kernel: Kernel,
  problem: (reason: string) => void,
): Generator<KprobeHandler> {
  const aggregate = kernel.symbol("aggr_pre_handler");
  const members = kernel.readerOf("kprobe", "list");
  const budget = kernel.budget();
  for (const { probe, address, preHandler } of kprobes(kernel, problem)) {
    yield* handlersAt(kernel, probe, address);
    if (preHandler !== aggregate || members === undefined) continue;
    const link = kernel.offset("kprobe", "list");
    for (const member of listEntries(kernel, members(probe), link, budget, problem)) {
      yield* handlersAt(kernel, member, address);
    }
  }
}

function* handlersAt(
  kernel: Kernel,
  probe: GuestVirtual,
  address: GuestVirtual,
): Generator<KprobeHandler> {
  const isReturn = kernel.readerOf("kprobe", "pre_handler")?.(probe);
  const ways = [{ struct: "kprobe", object: probe, names: PROBE_HANDLERS }];
  if (isReturn === kernel.symbol("pre_handler_kretprobe") && kernel.types.has("kretprobe", "kp")) {
    const object = probe - kernel.offset("kretprobe", "kp");
    ways.push({ struct: "kretprobe", object, names: RETURN_HANDLERS });
  }
  for (const { struct, object, names } of ways) {
    for (const name of names) {
      const target = kernel.readerOf(struct, name)?.(object) ?? 0;
      if (target !== 0) yield { probe, address, name, target };
    }
  }
}
