import { text, u32 } from "./little-endian.ts";

/** One ELF note: the owner's name, a type that the owner defines, and its content. */
export type ElfNote = {
  readonly name: string;
  readonly type: number;
  readonly content: Uint8Array;
};

const align = (value: number): number => (value + 3) & ~3;

/**
 * The notes of a PT_NOTE segment, each field padded to four bytes (gABI). Stops without a word
 * at the first that does not fit: kexec pads the notes of absent CPUs with zeros.
 */
export function* elfNotes(bytes: Uint8Array): Generator<ElfNote> {
  for (let at = 0; at + 12 <= bytes.length;) {
    const nameSize = u32(bytes, at);
    const contentSize = u32(bytes, at + 4);
    const type = u32(bytes, at + 8);
    const nameAt = at + 12;
    if (nameSize > bytes.length || contentSize > bytes.length) return;
    const contentAt = nameAt + align(nameSize);
    const end = contentAt + contentSize;
    if (end > bytes.length) return;
    if (nameSize > 0) {
      yield {
        name: text(bytes, nameAt, nameSize),
        type,
        content: bytes.subarray(contentAt, end),
      };
    }
    at = contentAt + align(contentSize);
  }
}
