import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** Types of entries (include/uapi/linux/auxvec.h). */
const AT_NULL = 0;
const AT_UID = 11;
const AT_EUID = 12;
const AT_SECURE = 23;
/** No type is larger; of a 32-bit program the first word holds a type and its value. */
const MAX_TYPE = 0xffff;

/** Whom a program was started as, by the vector that the kernel gave it. */
export type StartedAs = {
  readonly uid: number;
  readonly euid: number;
  /** It gained something by being executed: a setuid file, or capabilities of the file. */
  readonly secure: boolean;
};

/**
 * Reads `mm_struct.saved_auxv`: what create_elf_tables (fs/binfmt_elf.c) told a program at its last
 * execve. It is the kernel's copy: changing it takes CAP_SYS_RESOURCE (PR_SET_MM_AUXV) or a
 * restore of a checkpoint. Ids are those of the program's own user namespace.
 */
export class AuxiliaryVectors {
  readonly #kernel: Kernel;
  readonly #offset: number;
  readonly #length: number;

  /** Throws KVMSEC_TYPE_MISSING. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#offset = kernel.offset("mm_struct", "saved_auxv");
    this.#length = kernel.types.length("mm_struct", "saved_auxv");
  }

  /** Undefined where the vector tells none of it, or cannot be read. */
  startedAs(mm: GuestVirtual): StartedAs | undefined {
    const bytes = this.#kernel.space.bytes(mm + this.#offset, this.#length * 8);
    if (bytes === undefined) return undefined;
    const words = new Uint32Array(bytes.buffer);
    // fs/compat_binfmt_elf.c writes pairs of 32 bits into the same room.
    const wide = words[0]! <= MAX_TYPE && words[1] === 0;
    const unit = wide ? 2 : 1;
    const uid = entry(words, unit, AT_UID);
    const euid = entry(words, unit, AT_EUID);
    const secure = entry(words, unit, AT_SECURE);
    if (uid === undefined || euid === undefined || secure === undefined) return undefined;
    return { uid, euid, secure: secure !== 0 };
  }
}

/**
 * The low half of a value: all that is asked for fits. `unit` is words per number. Where a type comes
 * twice, the last counts, as it does for a program that reads all of them.
 */
function entry(words: Uint32Array, unit: number, wanted: number): number | undefined {
  let value: number | undefined;
  for (let at = 0; at + unit < words.length; at += 2 * unit) {
    const type = words[at]!;
    if (type === AT_NULL) break;
    if (type === wanted) value = words[at + unit]!;
  }
  return value;
}
