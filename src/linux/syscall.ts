import type { GuestVirtual } from "../base/address.ts";
import type { CodeOwners } from "./code-owner.ts";
import type { Kernel } from "./kernel.ts";
import { dispatchTargets } from "./syscall-dispatch.ts";
import { SyscallHandlers } from "./syscall-handlers.ts";
import { SyscallNames } from "./syscall-names.ts";
import { untracedCode } from "./untraced-code.ts";

/** By which way a system call reaches its function. */
export type SyscallTableName =
  | "sys_call_table"
  | "ia32_sys_call_table"
  | "x32_sys_call_table"
  | "x64_sys_call"
  | "ia32_sys_call"
  | "x32_sys_call";

/** One system call: a slot of a table, or what a dispatcher calls for a number. */
export type Syscall = {
  readonly table: SyscallTableName;
  readonly number: number;
  /** As in unistd.h; undefined where neither the kernel nor the function's symbol tells. */
  readonly name: string | undefined;
  /** Of the function; NaN where it could not be read or followed. */
  readonly address: GuestVirtual;
  /** The address for people: `__x64_sys_read`, `handler+0x12 [module]`. */
  readonly target: string;
  readonly symbol: string | undefined;
  readonly offset: number;
  /** `vmlinux`, a module's name, `bpf`, `ftrace` …; undefined where nobody owns the address. */
  readonly owner: string | undefined;
};

const TABLES = ["sys_call_table", "ia32_sys_call_table", "x32_sys_call_table"] as const;
const DISPATCHERS = ["x64_sys_call", "ia32_sys_call", "x32_sys_call"] as const;

/** Longest table that is read; Linux 7.3 has some 470 system calls, x32 ends at 547. */
const MAX_ENTRIES = 1024;
const MAX_DISPATCHER = 0x8000;

/**
 * All system calls. Where a dispatcher exists (6.9 and stable branches) it is what the kernel
 * runs, and `sys_call_table` only tells ftrace the names.
 */
export class Syscalls {
  readonly #kernel: Kernel;
  readonly #owners: CodeOwners;
  readonly #names: SyscallNames;

  constructor(kernel: Kernel, owners: CodeOwners) {
    this.#kernel = kernel;
    this.#owners = owners;
    this.#names = new SyscallNames(kernel);
  }

  /** Tables first, then dispatchers, each by number. */
  *all(problem: (reason: string) => void): Generator<Syscall> {
    for (const table of TABLES) yield* this.#rows(table, this.#table(table), problem);
    for (const table of DISPATCHERS) {
      const targets = this.#dispatcher(table, problem);
      // The number behind the last one is only a call where the compiler told it by exclusion.
      const last = targets.at(-1) ?? Number.NaN;
      if (this.#names.of(table, targets.length - 1, last) === "ni_syscall") targets.pop();
      yield* this.#rows(table, targets, problem);
    }
  }

  *#rows(
    table: SyscallTableName,
    targets: readonly GuestVirtual[],
    problem: (reason: string) => void,
  ): Generator<Syscall> {
    for (const [number, address] of targets.entries()) {
      if (address !== address) problem(`where ${table} leads for ${number} cannot be read`);
      const owner = this.#owners.ownerOf(address);
      yield {
        table,
        number,
        name: this.#names.of(table, number, address),
        address,
        target: this.#owners.describe(address),
        symbol: owner?.symbol,
        offset: owner?.offset ?? 0,
        owner: owner?.name,
      };
    }
  }

  /** Slots up to the padding that follows them. */
  #table(symbol: string): GuestVirtual[] {
    const { space, symbols } = this.#kernel;
    const start = this.#kernel.symbol(symbol);
    const length = Math.min((symbols.at(start)?.size ?? 0) / 8, MAX_ENTRIES);
    const slots: GuestVirtual[] = [];
    for (let number = 0; number < length; number++) slots.push(space.pointer(start + number * 8));
    while (slots.at(-1) === 0) slots.pop();
    return slots;
  }

  #dispatcher(symbol: string, problem: (reason: string) => void): GuestVirtual[] {
    const { space, symbols } = this.#kernel;
    const address = this.#kernel.symbol(symbol);
    if (address !== address) return [];
    const size = Math.min(symbols.at(address)?.size ?? 0, MAX_DISPATCHER);
    const code = size > 0 ? space.bytes(address, size) : undefined;
    if (code !== undefined) {
      return dispatchTargets({
        code: untracedCode(this.#owners, code, address),
        address,
        pointer: (slot) => space.pointer(slot),
        handlers: new SyscallHandlers(this.#kernel, this.#owners, this.#table(tableOf(symbol))),
      });
    }
    problem(`${symbol} cannot be read`);
    return [];
  }
}

/** `x64_sys_call` → `sys_call_table`, which lists what it calls. */
function tableOf(dispatcher: string): string {
  return `${dispatcher.replace(/^x64_/, "")}_table`;
}
