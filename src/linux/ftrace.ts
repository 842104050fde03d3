import type { GuestVirtual } from "../base/address.ts";
import { builtWithout } from "./features.ts";
import type { Kernel } from "./kernel.ts";

/** A user of ftrace (struct ftrace_ops, include/linux/ftrace.h). */
export type FtraceOps = {
  readonly ops: GuestVirtual;
  /** Called for each traced function. */
  readonly function: GuestVirtual;
  /** Machine code made for it alone; 0 for none. */
  readonly trampoline: GuestVirtual;
  /** Where call sites go directly, without ftrace (5.18); 0 for none. */
  readonly direct: GuestVirtual;
  /** What the kernel's own handler calls in turn: a function probe's entry and exit. */
  readonly handlers: readonly { readonly name: string; readonly target: GuestVirtual }[];
};

const MAX_OPS = 65_536;

/**
 * Every user on `ftrace_ops_list` (kernel/trace/ftrace.c), which ends at `ftrace_list_end`; none in
 * a kernel without CONFIG_FUNCTION_TRACER, which has neither those nor the struct's members.
 */
export function* ftraceUsers(
  kernel: Kernel,
  problem: (reason: string) => void,
): Generator<FtraceOps> {
  if (builtWithout(kernel, "ftrace") !== undefined) return;
  const end = kernel.requireSymbol("ftrace_list_end");
  const next = kernel.reader("ftrace_ops", "next");
  const call = kernel.reader("ftrace_ops", "func");
  const trampoline = kernel.addressReader("ftrace_ops", "trampoline");
  const direct = kernel.types.has("ftrace_ops", "direct_call")
    ? kernel.addressReader("ftrace_ops", "direct_call")
    : () => 0;
  let ops = kernel.space.pointer(kernel.requireSymbol("ftrace_ops_list"));
  for (let count = 0; ops !== end && ops !== 0; count++) {
    if (ops !== ops || count === MAX_OPS)
      return problem("ftrace_ops_list cannot be read to its end");
    const handler = call(ops);
    yield {
      ops,
      function: handler,
      trampoline: trampoline(ops),
      direct: direct(ops),
      handlers: handlersOf(kernel, ops, handler),
    };
    ops = next(ops);
  }
  return undefined;
}

/** Those of a `struct fprobe` (kernel/trace/fprobe.c), which until 6.14 has an ops of its own. */
function handlersOf(
  kernel: Kernel,
  ops: GuestVirtual,
  handler: GuestVirtual,
): FtraceOps["handlers"] {
  const at = kernel.symbols.at(handler);
  if (at?.offset !== 0 || !/^fprobe_(kprobe_)?handler$/.test(at.name)) return [];
  if (!kernel.types.has("fprobe", "ops")) return [];
  const probe = ops - kernel.offset("fprobe", "ops");
  return ["entry_handler", "exit_handler"].flatMap((name) => {
    const target = kernel.readerOf("fprobe", name)?.(probe) ?? 0;
    return target === 0 ? [] : [{ name, target }];
  });
}
