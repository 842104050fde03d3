import type { GuestVirtual } from "../base/address.ts";
import { Files } from "./file.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** A file that processes have mapped. */
export type MappedFile = {
  /** As /proc/PID/maps shows it; ` (deleted)` behind one that was unlinked. */
  readonly path: string;
  /** Its `address_space`: the page cache that all mappings of it share. */
  readonly mapping: GuestVirtual;
};

/** Files by their `struct file`. What many processes map is named once. */
export class MappedFiles {
  readonly #files: Files;
  readonly #dentry: Reader;
  readonly #mapping: Reader;
  readonly #known = new Map<GuestVirtual, MappedFile>();

  constructor(kernel: Kernel) {
    this.#files = new Files(kernel);
    this.#dentry = kernel.reader("file", "f_path.dentry");
    this.#mapping = kernel.reader("file", "f_mapping");
  }

  /** Undefined where it cannot be read. */
  of(file: GuestVirtual): MappedFile | undefined {
    const dentry = this.#dentry(file);
    const mapping = this.#mapping(file);
    const known = this.#known.get(dentry);
    if (known?.mapping === mapping) return known;
    const path = this.#files.userPath(file);
    if (path === undefined || !(mapping < 0)) return undefined;
    const found = { path, mapping };
    this.#known.set(dentry, found);
    return found;
  }
}
