import type { GuestVirtual } from "../base/address.ts";
import type { Callback, Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";

/** FTRACE_HASH_MAX_BITS is 12 (kernel/trace/ftrace.c). */
const MAX_HASH_BITS = 12;
const HEAD_SIZE = 8;

/**
 * What is called through ftrace without an `ftrace_ops` that says so: users of the graph tracer (since
 * 6.12), function probes (which are among them since 6.14), and direct calls of single functions.
 */
export function* ftraceCallbacks(kernel: Kernel, problem: Problem): Generator<Callback> {
  yield* graphUsers(kernel);
  yield* functionProbes(kernel, problem);
  yield* directCalls(kernel, problem);
}

/** `fgraph_array` (kernel/trace/fgraph.c); places that are free hold the kernel's own stub. */
function* graphUsers(kernel: Kernel): Generator<Callback> {
  const array = kernel.symbol("fgraph_array");
  if (array !== array || kernel.types.struct("fgraph_ops") === 0) return;
  const size = Math.min(kernel.symbols.at(array)?.size ?? 0, 32 * 8);
  for (let at = 0; at < size; at += 8) {
    const holder = kernel.space.pointer(array + at);
    if (!(holder < 0)) continue;
    yield* members(kernel, "fgraph_ops", holder, ["entryfunc", "retfunc"], "a graph tracer's user");
  }
}

/** `fprobe_table` (kernel/trace/fprobe.c). */
function* functionProbes(kernel: Kernel, problem: Problem): Generator<Callback> {
  const table = kernel.symbol("fprobe_table");
  if (table !== table || kernel.types.struct("fprobe_hlist") === 0) return;
  const probeOf = kernel.reader("fprobe_hlist", "fp");
  const link = kernel.offset("fprobe_hlist", "hlist");
  const size = Math.min(kernel.symbols.at(table)?.size ?? 0, 2 ** 16);
  const budget = kernel.budget();
  for (let at = 0; at < size; at += HEAD_SIZE) {
    for (const entry of hlistEntries(kernel, table + at, link, budget, problem)) {
      const probe = probeOf(entry);
      yield* members(
        kernel,
        "fprobe",
        probe,
        ["entry_handler", "exit_handler"],
        "a function probe",
      );
    }
  }
}

/** `direct_functions`: where call sites lead past ftrace, by address (struct ftrace_func_entry). */
function* directCalls(kernel: Kernel, problem: Problem): Generator<Callback> {
  const variable = kernel.symbol("direct_functions");
  if (variable !== variable || !kernel.types.has("ftrace_func_entry", "direct")) return;
  const hash = kernel.space.pointer(variable);
  if (!(hash < 0)) return;
  const bits = kernel.reader("ftrace_hash", "size_bits")(hash);
  const buckets = kernel.reader("ftrace_hash", "buckets")(hash);
  if (!(bits <= MAX_HASH_BITS && buckets < 0)) return problem("direct_functions cannot be read");
  const direct = kernel.addressReader("ftrace_func_entry", "direct");
  const site = kernel.addressReader("ftrace_func_entry", "ip");
  const link = kernel.offset("ftrace_func_entry", "hlist");
  const budget = kernel.budget();
  for (let bucket = 0; bucket < 2 ** bits; bucket++) {
    const head = buckets + bucket * HEAD_SIZE;
    for (const entry of hlistEntries(kernel, head, link, budget, problem)) {
      const place = kernel.symbols.at(site(entry))?.name ?? kernel.format(site(entry));
      yield { what: `direct call at ${place}`, function: direct(entry), holder: entry };
    }
  }
  return undefined;
}

function* members(
  kernel: Kernel,
  struct: string,
  holder: GuestVirtual,
  names: readonly string[],
  whose: string,
): Generator<Callback> {
  for (const name of names) {
    const target = kernel.readerOf(struct, name)?.(holder) ?? 0;
    if (target !== 0) yield { what: `${name} of ${whose}`, function: target, holder };
  }
}
