import type { GuestVirtual } from "../base/address.ts";
import { FaultCount } from "./callback.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { Modules } from "./module.ts";

/** What is called at a tracepoint (include/linux/tracepoint-defs.h). */
export type TracepointProbe = {
  readonly tracepoint: GuestVirtual;
  readonly name: string;
  /** The module whose tracepoint it is; undefined for the kernel's own. */
  readonly module: GuestVirtual | undefined;
  /** `probe`, `static call`. */
  readonly role: "probe" | "static call";
  readonly target: GuestVirtual;
  /** What a probe is called with; 0 for a static call, which is called with the same. */
  readonly data: GuestVirtual;
};

type Pointers = {
  readonly start: GuestVirtual;
  readonly count: number;
  readonly module: GuestVirtual | undefined;
};

const MAX_TRACEPOINTS = 65_536;
const MAX_PROBES = 1024;
const MAX_NAME = 128;
/** Tracepoints are found by 32-bit distances (HAVE_ARCH_PREL32_RELOCATIONS). */
const POINTER_SIZE = 4;

/** Every probe of every tracepoint of the kernel and its modules; `found` is told of each tracepoint. */
export function* tracepointProbes(
  kernel: Kernel,
  problem: Problem,
  found: (tracepoint: GuestVirtual) => void,
): Generator<TracepointProbe> {
  const faults = new FaultCount(problem);
  for (const { start, count, module } of pointers(kernel, problem)) {
    for (let index = 0; index < count; index++) {
      if (faults.tooMany) return problem("tracepoints were left out");
      const at = start + index * POINTER_SIZE;
      const tracepoint = at + kernel.space.i32(at);
      if (tracepoint !== tracepoint) return problem("the list of tracepoints cannot be read");
      found(tracepoint);
      yield* probesOf(kernel, tracepoint, module, faults.tell);
    }
  }
  return undefined;
}

function* pointers(kernel: Kernel, problem: Problem): Generator<Pointers> {
  const start = kernel.requireSymbol("__start___tracepoints_ptrs");
  const size = kernel.requireSymbol("__stop___tracepoints_ptrs") - start;
  yield { start, count: Math.min(size / POINTER_SIZE, MAX_TRACEPOINTS), module: undefined };
  const first = kernel.readerOf("module", "tracepoints_ptrs");
  const number = kernel.readerOf("module", "num_tracepoints");
  if (first === undefined || number === undefined) return;
  for (const module of new Modules(kernel).list(kernel.budget(), problem)) {
    const count = number(module);
    if (count > 0) yield { start: first(module), count: Math.min(count, MAX_TRACEPOINTS), module };
  }
}

function* probesOf(
  kernel: Kernel,
  tracepoint: GuestVirtual,
  module: GuestVirtual | undefined,
  problem: Problem,
): Generator<TracepointProbe> {
  const list = kernel.reader("tracepoint", "funcs")(tracepoint);
  if (list === 0) return;
  const name = kernel.space.string(kernel.reader("tracepoint", "name")(tracepoint), MAX_NAME);
  const common = { tracepoint, name: name ?? "without a name", module };
  const size = kernel.types.size("tracepoint_func");
  const call = kernel.reader("tracepoint_func", "func");
  const dataOf = kernel.reader("tracepoint_func", "data");
  for (let index = 0; ; index++) {
    const target = call(list + index * size);
    if (target === 0) break;
    if (target !== target || index === MAX_PROBES) {
      return problem(`the probes of tracepoint ${common.name} cannot be read`);
    }
    yield { ...common, role: "probe", target, data: dataOf(list + index * size) };
  }
  // Since 5.10 a tracepoint with one probe calls it directly.
  const key = kernel.readerOf("tracepoint", "static_call_key")?.(tracepoint) ?? 0;
  const direct = key === 0 ? 0 : (kernel.readerOf("static_call_key", "func")?.(key) ?? 0);
  if (direct !== 0) yield { ...common, role: "static call", target: direct, data: 0 };
  return undefined;
}
