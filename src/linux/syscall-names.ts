import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { SyscallTableName } from "./syscall.ts";

const NAME_LENGTH = 64;
/** How the functions behind a table are called (arch/x86/include/asm/syscall_wrapper.h). */
const NATIVE = /^__(?:x64|ia32)_sys_(.+)$/;
const IA32 = /^__ia32_(?:compat_)?sys_(.+)$/;
const X32 = /^__(?:x64|x32)_(?:compat_)?sys_(.+)$/;
/** Of kernels whose functions take arguments in registers, and `sys_ni_syscall` of all. */
const PLAIN = /^(?:__x64_|__ia32_)?(?:compat_)?sys_(.+)$/;

/**
 * Names of system calls. The native ones from the kernel's own trace metadata, which was matched
 * to numbers at boot (kernel/trace/trace_syscalls.c), so that a slot that was redirected since
 * keeps its name; all others from the function's symbol.
 */
export class SyscallNames {
  readonly #kernel: Kernel;
  readonly #metadata: GuestVirtual;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#metadata = kernel.types.has("syscall_metadata", "name")
      ? kernel.space.pointer(kernel.symbol("syscalls_metadata"))
      : Number.NaN;
  }

  of(table: SyscallTableName, number: number, target: GuestVirtual): string | undefined {
    const isNative = table === "sys_call_table" || table === "x64_sys_call";
    const traced = isNative ? this.#traced(number) : undefined;
    return (
      traced ?? this.#symbolic(target, isNative ? NATIVE : table.startsWith("x32") ? X32 : IA32)
    );
  }

  #traced(number: number): string | undefined {
    const { space } = this.#kernel;
    // Numbers beyond the array's end lead to whatever lies behind it, so the entry must know its own.
    const entry = space.pointer(this.#metadata + number * 8);
    if (!(entry < 0)) return undefined;
    if (this.#kernel.reader("syscall_metadata", "syscall_nr")(entry) !== number) return undefined;
    const name = space.string(this.#kernel.reader("syscall_metadata", "name")(entry), NAME_LENGTH);
    return name === undefined ? undefined : /^sys_(\w+)$/.exec(name)?.[1];
  }

  /** One function may have several names (a call without arguments serves all tables). */
  #symbolic(target: GuestVirtual, wanted: RegExp): string | undefined {
    const { symbols } = this.#kernel;
    const { first, end } = symbols.range(target, target + 1);
    let name: string | undefined;
    for (let index = first; index < end; index++) {
      const symbol = symbols.name(index);
      const exact = wanted.exec(symbol)?.[1];
      if (exact !== undefined) return exact;
      name ??= PLAIN.exec(symbol)?.[1];
    }
    return name;
  }
}
