import { branchTarget, decodeInstruction } from "../arch/x86/instruction.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { GeneratedCode } from "./generated-code.ts";
import type { Kernel } from "./kernel.ts";

/** A call or jump in code that the kernel wrote, to somewhere outside of it. */
export type BranchOut = { readonly at: GuestVirtual; readonly target: GuestVirtual };

type Known = { readonly bytes: Buffer; readonly branches: readonly BranchOut[] };

/** Behind a trampoline's code lies the address of its `ftrace_ops` (arch/x86/kernel/ftrace.c). */
const OPS_POINTER = 8;
const NEAR_RETURN = 0xc3;
const JUMPS: ReadonlySet<number> = new Set([0xe9, 0xeb]);
/** What has a page or half of one, of which the code is the beginning. */
const PARTLY_FILLED = /^bpf_(trampoline|dispatcher)/;
/** What begins with a header, or lies behind others in a page. */
const UNKNOWN_START = /^bpf_(classic|struct_ops)$/;

/**
 * Where BPF programs, BPF's trampolines and those of ftrace lead to. Code that stayed as it was is
 * not decoded again: there may be megabytes of it.
 */
export class GeneratedBranches {
  readonly #kernel: Kernel;
  #known = new Map<string, Known>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Of each piece of code that can be followed; `unread` is told of those that are not in memory. */
  of(code: readonly GeneratedCode[], unread: () => void): [GeneratedCode, readonly BranchOut[]][] {
    const known = new Map<string, Known>();
    const found: [GeneratedCode, readonly BranchOut[]][] = [];
    for (const each of code) {
      if (each.kind === "kprobe" || each.kind === "its" || UNKNOWN_START.test(each.name)) continue;
      const size = each.end - each.start - (each.kind === "ftrace" ? OPS_POINTER : 0);
      const bytes = this.#kernel.space.bytes(each.start, size);
      if (bytes === undefined) {
        unread();
        continue;
      }
      const key = `${each.start} ${each.end}`;
      const before = this.#known.get(key);
      const same = before !== undefined && before.bytes.equals(bytes);
      const now = same ? before : { bytes: Buffer.from(bytes), branches: branches(each, bytes) };
      known.set(key, now);
      found.push([each, now.branches]);
    }
    this.#known = known;
    return found;
  }
}

function branches({ name, start }: GeneratedCode, code: Uint8Array): BranchOut[] {
  const found: BranchOut[] = [];
  const isPartial = PARTLY_FILLED.test(name);
  // As far as something before has jumped to.
  let reached = 0;
  for (let at = 0; at < code.length;) {
    const instruction = decodeInstruction(code, at);
    if (instruction === undefined) break;
    const next = at + instruction.length;
    if (instruction.relativeSize !== 0) {
      const target = branchTarget(code, at, start + at, instruction);
      if (target >= start && target < start + code.length) {
        reached = Math.max(reached, target - start);
      } else if (instruction.relativeSize === 4) found.push({ at: start + at, target });
    }
    const { map, opcode } = instruction;
    const ends = map === "one" && (opcode === NEAR_RETURN || JUMPS.has(opcode));
    if (isPartial && ends && next > reached) break;
    at = next;
  }
  return found;
}
