import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";

/** BPF_JMP | BPF_CALL, and BPF_LD | BPF_DW | BPF_IMM, which takes two places (include/uapi/linux/bpf.h). */
const CALL = 0x85;
const LOAD_WIDE = 0x18;
const INSTRUCTION_SIZE = 8;
/** Where a call's source says that it leads: to a helper, or to a kernel function (BPF_PSEUDO_KFUNC_CALL, 5.13). */
const HELPER = 0;
const KERNEL_FUNCTION = 2;
/** BPF_COMPLEXITY_LIMIT_INSNS: no program that was accepted is longer. */
const MAX_INSTRUCTIONS = 1_000_000;

/**
 * Names of the kernel's helpers and functions that a program calls. The verifier has put into each
 * call how far that is from `__bpf_call_base` (kernel/bpf/verifier.c); a main program keeps the
 * instructions of its subprograms. Undefined where they cannot be read, or take more steps than there are.
 */
export function bpfHelperCalls(
  kernel: Kernel,
  program: GuestVirtual,
  budget: Budget,
): Set<string> | undefined {
  const base = kernel.requireSymbol("__bpf_call_base");
  const length = kernel.reader("bpf_prog", "len")(program);
  if (!(length > 0 && length <= MAX_INSTRUCTIONS) || budget.exhausted) return undefined;
  const start = program + kernel.offset("bpf_prog", "insnsi");
  const code = kernel.space.bytes(start, length * INSTRUCTION_SIZE);
  if (code === undefined) return undefined;
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const names = new Set<string>();
  for (let at = 0; at < code.length; at += INSTRUCTION_SIZE) {
    if (!budget.step()) return undefined;
    const opcode = code[at];
    const source = code[at + 1] >>> 4;
    if (opcode === LOAD_WIDE) at += INSTRUCTION_SIZE;
    else if (opcode === CALL && (source === HELPER || source === KERNEL_FUNCTION)) {
      const helper = kernel.symbols.at(base + view.getInt32(at + 4, true));
      if (helper?.offset === 0) names.add(helper.name);
    }
  }
  return names;
}

/**
 * Programs whose machine code is listed for stack traces (`bpf_kallsyms`, kernel/bpf/core.c): a view
 * of what is loaded that does not depend on `prog_idr`. Subprograms have no number and are left out.
 */
export function* listedPrograms(
  kernel: Kernel,
  symbols: Iterable<GuestVirtual>,
): Generator<GuestVirtual> {
  const isProgram = kernel.reader("bpf_ksym", "prog");
  const auxOffset = kernel.offset("bpf_prog_aux", "ksym");
  const programOf = kernel.reader("bpf_prog_aux", "prog");
  const isFunction = kernel.reader("bpf_prog", "is_func");
  for (const symbol of symbols) {
    if (isProgram(symbol) !== 1) continue;
    const program = programOf(symbol - auxOffset);
    if (program < 0 && isFunction(program) === 0) yield program;
  }
}
