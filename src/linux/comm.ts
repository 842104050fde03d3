import { guestText } from "../base/guest-text.ts";

const SLOTS = 4096;
const WORDS = 4;

/** TASK_COMM_LEN (include/linux/sched.h): 15 bytes and a NUL. */
export const TASK_COMM_LEN = 16;

/**
 * The text of `task_struct.comm` from its four words. Making a string costs as much as reading
 * the whole task, and names repeat: the last ones are kept by their content, so they never age.
 */
export class CommTable {
  readonly #words = new Uint32Array(SLOTS * WORDS);
  readonly #texts: (string | undefined)[] = Array.from({ length: SLOTS });

  text(a: number, b: number, c: number, d: number): string {
    const slot = hash(a, b, c, d);
    const words = this.#words;
    const at = slot * WORDS;
    const known = this.#texts[slot];
    const same =
      words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d;
    if (known !== undefined && same) return known;
    words.set([a, b, c, d], at);
    const bytes = new Uint8Array(Uint32Array.of(a, b, c, d).buffer);
    const end = bytes.indexOf(0);
    const text = guestText(bytes.subarray(0, end < 0 ? TASK_COMM_LEN : end));
    this.#texts[slot] = text;
    return text;
  }
}

/** The one that all decoders share. */
export const commTable = new CommTable();

function hash(a: number, b: number, c: number, d: number): number {
  const mixed = Math.imul(a ^ Math.imul(b ^ Math.imul(c ^ d, 31), 31), 0x9e37_79b1);
  return (mixed >>> 16) & (SLOTS - 1);
}
