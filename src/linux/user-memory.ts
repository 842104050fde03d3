import type { AddressSpace } from "../arch/x86/address-space.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** Longest argument list that is read; the kernel allows 2 MiB and more. */
const MAX_ARGUMENTS = 0x2_0000;

/** Reads what processes have in their own memory (struct mm_struct, include/linux/mm_types.h). */
export class UserMemory {
  readonly #kernel: Kernel;
  readonly #pgd: Reader;
  readonly #argStart: Reader;
  readonly #argEnd: Reader;
  readonly #envStart: Reader;
  readonly #envEnd: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#pgd = kernel.reader("mm_struct", "pgd");
    this.#argStart = kernel.reader("mm_struct", "arg_start");
    this.#argEnd = kernel.reader("mm_struct", "arg_end");
    this.#envStart = kernel.reader("mm_struct", "env_start");
    this.#envEnd = kernel.reader("mm_struct", "env_end");
  }

  /** The address space of an mm_struct, or undefined where it cannot be read. */
  space(mm: GuestVirtual): AddressSpace | undefined {
    if (mm === 0 || mm !== mm) return undefined;
    const root = this.#kernel.space.physical(this.#pgd(mm));
    return root < 0 ? undefined : this.#kernel.userSpace(root);
  }

  /** The argument vector; undefined where there is none or it is not in RAM. */
  argumentsOf(mm: GuestVirtual): string[] | undefined {
    return this.#strings(mm, this.#argStart(mm), this.#argEnd(mm));
  }

  /** The environment that the program was started with. */
  environmentOf(mm: GuestVirtual): string[] | undefined {
    return this.#strings(mm, this.#envStart(mm), this.#envEnd(mm));
  }

  #strings(mm: GuestVirtual, start: GuestVirtual, end: GuestVirtual): string[] | undefined {
    const length = Math.min(end - start, MAX_ARGUMENTS);
    if (!(start > 0 && length > 0)) return undefined;
    const raw = new Uint8Array(length);
    const read = this.space(mm)?.copy(start, raw) ?? 0;
    if (read === 0) return undefined;
    const text = Buffer.from(raw.buffer, 0, read).toString("utf8");
    return text.replace(/\0$/, "").split("\0");
  }
}
