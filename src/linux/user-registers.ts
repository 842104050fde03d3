import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** THREAD_SIZE without KASAN (arch/x86/include/asm/page_64_types.h). */
const THREAD_SIZE = 16_384;
/** TOP_OF_KERNEL_STACK_PADDING: 16 where the kernel knows FRED (6.9), else none. */
const PADDINGS: readonly number[] = [0, 16];
/** __USER_CS, __USER32_CS (arch/x86/include/asm/segment.h). */
const USER_CS = new Set([0x33, 0x23]);
const USER_DS = 0x2b;

/** Where a thread will go on in its program. */
export type UserRegisters = {
  readonly ip: number;
  readonly sp: number;
  /** The system call that it waits in; negative for none. */
  readonly systemCall: number;
};

/**
 * Reads the `pt_regs` at the top of a thread's kernel stack (task_pt_regs in
 * arch/x86/include/asm/processor.h): what the program had when it last entered the kernel.
 */
export class UserRegisterReader {
  readonly #stack: Reader;
  readonly #size: number;
  readonly #cs: Reader;
  readonly #ss: Reader;
  readonly #ip: Reader;
  readonly #sp: Reader;
  readonly #original: Reader;

  constructor(kernel: Kernel) {
    const register = (name: string): Reader => kernel.reader("pt_regs", name);
    this.#stack = kernel.reader("task_struct", "stack");
    this.#size = kernel.types.size("pt_regs");
    this.#cs = kernel.readerOf("pt_regs", "csx", "cs") ?? register("cs");
    this.#ss = kernel.readerOf("pt_regs", "ssx", "ss") ?? register("ss");
    this.#ip = register("ip");
    this.#sp = register("sp");
    this.#original = register("orig_ax");
  }

  /** Undefined for a thread that runs just now in a way that leaves none, or cannot be read. */
  of(task: GuestVirtual): UserRegisters | undefined {
    const top = this.#stack(task) + THREAD_SIZE - this.#size;
    for (const padding of PADDINGS) {
      const registers = top - padding;
      const isUser =
        USER_CS.has(this.#cs(registers) % 0x1_0000) && this.#ss(registers) % 0x1_0000 === USER_DS;
      if (!isUser) continue;
      const original = this.#original(registers);
      return {
        ip: this.#ip(registers),
        sp: this.#sp(registers),
        systemCall: original < 2 ** 31 ? original : -1,
      };
    }
    return undefined;
  }
}
