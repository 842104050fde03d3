import type { GuestVirtual } from "../base/address.ts";
import { hexBytes } from "../base/hex.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

const BUILD_ID_SECTION = ".note.gnu.build-id";
/** A module has two or three note sections. */
const MAX_NOTES = 16;
const MAX_NOTE_SIZE = 256;
const NT_GNU_BUILD_ID = 3;
const HEADER_SIZE = 16;

/**
 * A module's build id, from the note section that /sys/module/NAME/notes shows
 * (struct module_notes_attrs, kernel/module/sysfs.c).
 */
export class ModuleNotes {
  readonly #kernel: Kernel;
  readonly #notes: Reader | undefined;
  readonly #attributes: number;
  readonly #attributeSize: number;
  readonly #count: Reader | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#notes = kernel.readerOf("module", "notes_attrs");
    const known = this.#notes !== undefined && kernel.types.has("module_notes_attrs", "attrs");
    this.#attributes = known ? kernel.offset("module_notes_attrs", "attrs") : Number.NaN;
    this.#attributeSize = known ? kernel.types.size("bin_attribute") : Number.NaN;
    // Became an attribute group without a count in 6.15; then the section's own name ends the search.
    this.#count = kernel.readerOf("module_notes_attrs", "notes");
  }

  /** Lower-case hexadecimal, or undefined where the module has none. */
  buildId(module: GuestVirtual): string | undefined {
    const notes = this.#notes?.(module);
    if (notes === undefined || notes === 0 || notes !== notes) return undefined;
    const { space } = this.#kernel;
    const name = this.#kernel.reader("bin_attribute", "attr.name");
    const count = Math.min(this.#count?.(notes) ?? MAX_NOTES, MAX_NOTES);
    for (let index = 0; index < count; index++) {
      const attribute = notes + this.#attributes + index * this.#attributeSize;
      const section = space.string(name(attribute), BUILD_ID_SECTION.length + 1);
      if (section === undefined || !section.startsWith(".note")) return undefined;
      if (section === BUILD_ID_SECTION) return this.#noteOf(attribute);
    }
    return undefined;
  }

  /** An ELF note: name size, content size and type as u32, the name, the content. */
  #noteOf(attribute: GuestVirtual): string | undefined {
    const kernel = this.#kernel;
    const size = kernel.reader("bin_attribute", "size")(attribute);
    if (!(size > HEADER_SIZE && size <= MAX_NOTE_SIZE)) return undefined;
    const note = kernel.space.bytes(kernel.reader("bin_attribute", "private")(attribute), size);
    if (note === undefined) return undefined;
    const view = new DataView(note.buffer);
    const length = view.getUint32(4, true);
    if (view.getUint32(0, true) !== 4 || view.getUint32(8, true) !== NT_GNU_BUILD_ID) {
      return undefined;
    }
    return HEADER_SIZE + length <= size
      ? hexBytes(note.subarray(HEADER_SIZE, HEADER_SIZE + length))
      : undefined;
  }
}
