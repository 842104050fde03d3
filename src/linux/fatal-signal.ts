import { decodeInstruction } from "../arch/x86/instruction.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { Tasks } from "./task.ts";
import { PF_EXITING } from "./sched.ts";

/** Bits to be set in one byte of a guest's memory. */
export type BitEdit = { readonly address: GuestVirtual; readonly mask: number };

/** SIGNAL_GROUP_EXIT (include/linux/sched/signal.h): the whole group is dying already. */
const SIGNAL_GROUP_EXIT = 0x4;
/** SIGKILL is bit 8 of the set: bit 0 of its second byte. */
const SIGKILL_BYTE = 1;
const SIGKILL_MASK = 1;
/** On a guest with one processor boot replaces the first by the second. */
const LOCK = 0xf0;
const DS_PREFIX = 0x3e;
/** None of the functions that are looked at is longer. */
const MAX_CODE = 2048;

/**
 * How the kernel marks a task for a fatal signal: what complete_signal() and signal_wake_up_state()
 * (kernel/signal.c) write into a task of a dying group. A task that is marked so takes SIGKILL when
 * it next goes from the kernel to user mode, or when an interruptible sleep of its ends; what is
 * missing is only to wake a task that sleeps.
 */
export class FatalSignal {
  readonly #kernel: Kernel;
  readonly #tasks: Tasks;
  readonly #pending: number;
  readonly #flags: number;
  readonly #flagMask: number | undefined;
  readonly #sighand: (task: GuestVirtual) => GuestVirtual;
  readonly #groupFlags: (signal: GuestVirtual) => number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#tasks = new Tasks(kernel);
    this.#pending = kernel.offset("task_struct", "pending.signal");
    this.#flags = kernel.offset("task_struct", "thread_info.flags");
    this.#flagMask = signalFlag(kernel, this.#flags);
    this.#sighand = kernel.reader("task_struct", "sighand");
    this.#groupFlags = kernel.reader("signal_struct", "flags");
  }

  /** The byte of `thread_info.flags` that says that a signal waits; undefined where it was not found. */
  get flagMask(): number | undefined {
    return this.#flagMask;
  }

  /** Whether a task is on its way out already. */
  isDying(task: GuestVirtual): boolean {
    const exiting = (this.#tasks.flags(task) & PF_EXITING) !== 0;
    return exiting || (this.#groupFlags(this.#tasks.signal(task)) & SIGNAL_GROUP_EXIT) !== 0;
  }

  /** Whether nobody is changing the signals of the task's group at this moment. */
  isFree(task: GuestVirtual): boolean {
    const { types, space } = this.#kernel;
    const lock = this.#sighand(task) + this.#kernel.offset("sighand_struct", "siglock");
    // With PREEMPT_RT the lock is a mutex: who owns it, and the lock of the mutex itself.
    if (types.has("spinlock", "lock.owner")) {
      const owner = space.pointer(lock + types.offset("spinlock", "lock.owner"));
      return owner === 0 && space.u32(lock + types.offset("spinlock", "lock.wait_lock")) === 0;
    }
    return space.u32(lock) === 0;
  }

  /** What to set in a thread. Throws nothing; undefined where this kernel's flag is not known. */
  edits(task: GuestVirtual): BitEdit[] | undefined {
    if (this.#flagMask === undefined) return undefined;
    return [
      { address: task + this.#pending + SIGKILL_BYTE, mask: SIGKILL_MASK },
      { address: task + this.#flags, mask: this.#flagMask },
    ];
  }
}

/** Functions of kernel/signal.c that set the flag; some are inlined in some kernels. */
const SETTERS = [
  "signal_wake_up_state",
  "recalc_sigpending_tsk",
  "recalc_sigpending",
  "recalc_sigpending_and_wake",
  "complete_signal",
];

/**
 * TIF_SIGPENDING as the kernel's own code has it: its number is another one since some releases, and
 * no type tells it. Whoever sets it does `lock orb $mask, flags(%reg)` with the task in a register;
 * all of them have to agree.
 */
function signalFlag(kernel: Kernel, flags: number): number | undefined {
  const masks = new Set(SETTERS.flatMap((name) => masksIn(kernel, name, flags)));
  const [mask] = masks;
  // One bit, and one of those that it has been: 1 (generic) or 2 (x86).
  return masks.size === 1 && (mask === 2 || mask === 4) ? mask : undefined;
}

function masksIn(kernel: Kernel, name: string, flags: number): number[] {
  const start = kernel.symbol(name);
  const size = Math.min(kernel.symbols.at(start)?.size ?? 0, MAX_CODE);
  const code = (size > 0 && kernel.space.bytes(start, size)) || new Uint8Array();
  const masks: number[] = [];
  for (let at = 0; at < code.length;) {
    const opcode = at + 1 + Number((code[at + 1] & 0xf0) === 0x40);
    const locked = code[at] === LOCK || code[at] === DS_PREFIX;
    const mask = locked && code[opcode] === 0x80 ? orMask(code, opcode + 1, flags) : undefined;
    if (mask !== undefined) masks.push(mask);
    at += decodeInstruction(code, at)?.length ?? code.length;
  }
  return masks;
}

/** The immediate of `or $imm8, displacement(%reg)` behind its opcode, where the displacement is that. */
function orMask(code: Uint8Array, at: number, wanted: number): number | undefined {
  const modrm = code[at];
  const [mode, operation, base] = [modrm >>> 6, (modrm >>> 3) & 7, modrm & 7];
  if (operation !== 1 || base === 4) return undefined;
  if (mode === 0 && base !== 5 && wanted === 0) return code[at + 1];
  if (mode === 1 && code[at + 1] === wanted) return code[at + 2];
  return undefined;
}
