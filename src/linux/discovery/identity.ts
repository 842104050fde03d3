import type { GuestVirtual } from "../../base/address.ts";
import { hexBytes } from "../../base/hex.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";

/** Which kernel this is. */
export type KernelIdentity = {
  /** `uname -r`. */
  readonly release: string;
  /** The whole `linux_banner` line. */
  readonly banner: string;
  /** GNU build id in hexadecimal, or undefined where the kernel was linked without. */
  readonly buildId: string | undefined;
  readonly levels: 4 | 5;
};

/** Note header of a GNU build id of 20 bytes: name size 4, description size 20, type 3, "GNU". */
const BUILD_ID_NOTE = Buffer.from("040000001400000003000000474e5500", "hex");
const BUILD_ID_SIZE = 20;
/** The kernel's own, those of its vDSO images, and some room. */
const MAX_NOTES = 32;

/** A build id and where its 20 bytes lie. */
export type BuildIdNote = { readonly id: string; readonly address: GuestVirtual };

/** All GNU build ids in an image: the kernel's own in `.notes`, and those of the vDSOs it carries. */
export function buildIdNotes(image: Uint8Array, imageBase: GuestVirtual): BuildIdNote[] {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  const notes: BuildIdNote[] = [];
  let at = bytes.indexOf(BUILD_ID_NOTE);
  while (at >= 0 && notes.length < MAX_NOTES) {
    const start = at + BUILD_ID_NOTE.length;
    const id = bytes.subarray(start, start + BUILD_ID_SIZE);
    if (at % 4 === 0 && id.length === BUILD_ID_SIZE) {
      notes.push({ id: hexBytes(id), address: imageBase + start });
    }
    at = bytes.indexOf(BUILD_ID_NOTE, at + 4);
  }
  return notes;
}

/** `uname -r` out of a banner line, or undefined where the text is no banner. */
export function releaseOf(banner: string): string | undefined {
  return /^Linux version (\S{1,128}) /.exec(banner)?.[1];
}

/** The note inside `.notes`: the others are those of the vDSO images. */
export function ownBuildId(
  symbols: SymbolTable,
  notes: readonly BuildIdNote[],
): BuildIdNote | undefined {
  const start = symbols.address("__start_notes");
  const stop = symbols.address("__stop_notes");
  return notes.find(({ address }) => address >= start && address < stop);
}
