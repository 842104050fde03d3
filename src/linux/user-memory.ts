import type { AddressSpace } from "../arch/x86/address-space.ts";
import type { GuestVirtual } from "../base/address.ts";
import { guestText } from "../base/guest-text.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { TextRoom } from "./text-room.ts";

/** Longest argument list that is read; the kernel allows 6 MiB. */
const MAX_ARGUMENTS = 0x2_0000;
/** A title that overwrote the arguments is read up to a page (get_mm_proctitle in fs/proc/base.c). */
const MAX_TITLE = 4096;

/** What a program was called with. */
export type CommandLine = {
  /** As ps shows /proc/PID/cmdline: a space between arguments. */
  readonly text: string;
  /** One string an argument; a program that set its own title has the title as the only one. */
  readonly argv: readonly string[];
  /** False where the end is not in RAM, or is longer than what is read (128 KiB). */
  readonly complete: boolean;
};

type Ends = Record<"argStart" | "argEnd" | "envStart" | "envEnd", Reader>;

/** Reads what processes have in their own memory (struct mm_struct, include/linux/mm_types.h). */
export class UserMemory {
  readonly #kernel: Kernel;
  readonly #pgd: Reader;
  readonly #ends: Ends;
  #room = new TextRoom();

  constructor(kernel: Kernel) {
    const field = (name: string): Reader => kernel.reader("mm_struct", name);
    this.#kernel = kernel;
    this.#pgd = field("pgd");
    this.#ends = {
      argStart: field("arg_start"),
      argEnd: field("arg_end"),
      envStart: field("env_start"),
      envEnd: field("env_end"),
    };
  }

  /** Some text was left out: together it is more than any true guest has. */
  get exhausted(): boolean {
    return this.#room.exhausted;
  }

  /** To be called when a new list begins. */
  forget(): void {
    this.#room = new TextRoom();
  }

  /** The address space of an mm_struct, or undefined where it cannot be read. */
  space(mm: GuestVirtual): AddressSpace | undefined {
    if (mm === 0 || mm !== mm) return undefined;
    const root = this.#kernel.space.physical(this.#pgd(mm));
    return root < 0 ? undefined : this.#kernel.userSpace(root);
  }

  /**
   * The command line as /proc/PID/cmdline has it (get_mm_cmdline in fs/proc/base.c); undefined
   * where there is none or its beginning is not in RAM.
   */
  commandLine(mm: GuestVirtual): CommandLine | undefined {
    const start = this.#ends.argStart(mm);
    const end = this.#ends.argEnd(mm);
    if (!(start > 0 && end > start)) return undefined;
    const space = this.space(mm);
    // A program that wrote over the NUL at the end has set a title, perhaps into the environment.
    if (space !== undefined && space.u8(end - 1) > 0) return this.#title(space, mm, start, end);
    const raw = this.#read(space, start, Math.min(end - start, MAX_ARGUMENTS));
    return raw === undefined ? undefined : commandLineOf(raw, raw.length === end - start);
  }

  /** The environment that the program was started with; undefined where it is not in RAM. */
  environment(mm: GuestVirtual): string[] | undefined {
    const start = this.#ends.envStart(mm);
    const length = Math.min(this.#ends.envEnd(mm) - start, MAX_ARGUMENTS);
    if (!(start > 0 && length >= 0)) return undefined;
    if (length === 0) return [];
    const raw = this.#read(this.space(mm), start, length);
    return raw === undefined ? undefined : split(raw);
  }

  #title(
    space: AddressSpace,
    mm: GuestVirtual,
    start: GuestVirtual,
    end: GuestVirtual,
  ): CommandLine | undefined {
    const envEnd = this.#ends.envEnd(mm);
    const overflows = this.#ends.envStart(mm) === end && envEnd >= end;
    const length = Math.min((overflows ? envEnd : end) - start, MAX_TITLE);
    const raw = this.#read(space, start, length);
    if (raw === undefined) return undefined;
    const terminator = raw.indexOf(0);
    const title = guestText(terminator < 0 ? raw : raw.subarray(0, terminator));
    return { text: title, argv: [title], complete: terminator >= 0 || raw.length === length };
  }

  /** What of a stretch is in RAM, up to the first page that is not; undefined for nothing. */
  #read(
    space: AddressSpace | undefined,
    start: GuestVirtual,
    length: number,
  ): Uint8Array | undefined {
    if (space === undefined || !this.#room.take(length)) return undefined;
    const raw = new Uint8Array(length);
    const done = space.copy(start, raw);
    return done === 0 ? undefined : raw.subarray(0, done);
  }
}

function commandLineOf(raw: Uint8Array, complete: boolean): CommandLine {
  const argv = split(raw);
  return { text: argv.join(" "), argv, complete };
}

function split(raw: Uint8Array): string[] {
  const text = guestText(raw.at(-1) === 0 ? raw.subarray(0, -1) : raw);
  return text.split("\0");
}
