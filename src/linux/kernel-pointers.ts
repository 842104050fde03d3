import type { GuestVirtual } from "../base/address.ts";
import { functionMembers } from "./function-members.ts";
import type { Kernel } from "./kernel.ts";

/** A pointer to a function through which the kernel reaches its own operations. */
export type KernelPointer = {
  /** `pv_ops.cpu`'s member, `apic`'s, or a static call: `read_msr of pv_ops`. */
  readonly name: string;
  readonly slot: GuestVirtual;
  readonly target: GuestVirtual;
};

/**
 * Structs of function pointers that boot chooses and nothing changes later; `behind` where the
 * variable points to the struct. machine_ops and smp_ops are among the registered callbacks.
 */
const STRUCTS = [
  { symbol: "pv_ops", struct: "paravirt_patch_template", behind: false },
  { symbol: "x86_platform", struct: "x86_platform_ops", behind: false },
  { symbol: "x86_cpuinit", struct: "x86_cpuinit_ops", behind: false },
  { symbol: "x86_apic_ops", struct: "x86_apic_ops", behind: false },
  { symbol: "x86_msi", struct: "x86_msi_ops", behind: false },
  { symbol: "x86_pmu", struct: "x86_pmu", behind: false },
  { symbol: "apic", struct: "apic", behind: true },
  { symbol: "legacy_pic", struct: "legacy_pic", behind: true },
] as const;

/** Variables that are such a pointer themselves. */
const VARIABLES = ["ftrace_trace_function", "ftrace_graph_return", "ftrace_graph_entry"] as const;

const KEY_PREFIX = "__SCK__";
const keys = new WeakMap<Kernel, readonly { name: string; address: GuestVirtual }[]>();

/** Those of the processor's and platform's operations, and of ftrace. NULL is left out. */
export function* platformPointers(
  kernel: Kernel,
  problem: (reason: string) => void,
): Generator<KernelPointer> {
  for (const { symbol, struct, behind } of STRUCTS) {
    const variable = kernel.symbol(symbol);
    if (variable !== variable) continue;
    if (kernel.types.struct(struct) === 0) problem(`what ${symbol} holds is not known`);
    const place = behind ? kernel.space.pointer(variable) : variable;
    for (const { name, offset } of functionMembers(kernel, struct)) {
      yield* pointerAt(kernel, `${name} of ${symbol}`, place + offset);
    }
  }
  for (const symbol of VARIABLES) {
    const slot = kernel.symbol(symbol);
    if (slot === slot) yield* pointerAt(kernel, symbol, slot);
  }
}

/** What every static call of the kernel leads to (struct static_call_key, since 5.10). */
export function* staticCallTargets(
  kernel: Kernel,
  problem: (reason: string) => void,
): Generator<KernelPointer> {
  let known = keys.get(kernel);
  if (known === undefined) {
    known = Array.from(kernel.symbols.startingWith(KEY_PREFIX), (index) => ({
      name: kernel.symbols.name(index).slice(KEY_PREFIX.length),
      address: kernel.symbols.addresses[index],
    }));
    keys.set(kernel, known);
  }
  const func = kernel.types.member("static_call_key", "func")?.offset;
  if (func === undefined) {
    return known.length === 0 ? undefined : problem("where static calls lead is not known");
  }
  for (const { name, address } of known) {
    yield* pointerAt(kernel, `static call ${name}`, address + func);
  }
  return undefined;
}

function* pointerAt(kernel: Kernel, name: string, slot: GuestVirtual): Generator<KernelPointer> {
  const target = kernel.space.pointer(slot);
  if (target !== 0) yield { name, slot, target };
}
