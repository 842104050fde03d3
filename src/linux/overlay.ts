import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { ModuleTypes } from "./module-types.ts";

/** What an overlay lays over what. Paths are as they were given to mount(8). */
export type OverlayLayers = {
  /** The uppermost first. */
  readonly lower: readonly string[];
  /** Where changes go; undefined for a read-only overlay. */
  readonly upper: string | undefined;
  readonly work: string | undefined;
};

/** PATH_MAX; mount(8)'s options take one page as well. */
const MAX_PATH = 4096;
/** OVL_MAX_STACK (fs/overlayfs/params.h). */
const MAX_LAYERS = 500;

/** Reads `struct ovl_fs` (fs/overlayfs/ovl_entry.h), whose types only the module overlay has. */
export class Overlays {
  /** Why nothing can be read; undefined where it can. */
  readonly reason: string | undefined;
  readonly #kernel: Kernel;
  readonly #info: Reader;
  readonly #member: (path: string) => Reader | undefined;

  constructor(kernel: Kernel) {
    const modules = new ModuleTypes(kernel);
    const types = modules.of("overlay");
    this.#kernel = kernel;
    this.#info = kernel.reader("super_block", "s_fs_info");
    this.#member = (path) => modules.reader("overlay", "ovl_fs", path);
    this.reason = typeof types === "string" ? types : undefined;
  }

  /** Layers of a super_block of type overlay; undefined where they cannot be read. */
  of(superBlock: GuestVirtual): OverlayLayers | undefined {
    const info = this.#info(superBlock);
    const upper = this.#member("config.upperdir");
    const work = this.#member("config.workdir");
    const lower = this.#lower(info);
    if (lower === undefined || upper === undefined || work === undefined) return undefined;
    return { lower, upper: this.#path(upper(info)), work: this.#path(work(info)) };
  }

  /** One string with colons before 6.5; then a list, and the string before it where there was one. */
  #lower(info: GuestVirtual): string[] | undefined {
    const single = this.#member("config.lowerdir");
    if (single !== undefined) return splitLayers(this.#path(single(info)));
    const list = this.#member("config.lowerdirs")?.(info);
    const count = this.#member("numlayer")?.(info);
    if (list === undefined || count === undefined || !(count <= MAX_LAYERS)) return undefined;
    const paths = Array.from({ length: count }, (_, index) =>
      this.#path(this.#kernel.space.pointer(list + index * 8)),
    );
    const [whole, ...each] = paths;
    return whole === undefined ? each.filter((path) => path !== undefined) : splitLayers(whole);
  }

  #path(pointer: GuestVirtual): string | undefined {
    return pointer < 0 ? this.#kernel.space.string(pointer, MAX_PATH) : undefined;
  }
}

/** A colon in a path is written with a backslash before it. */
function splitLayers(text: string | undefined): string[] | undefined {
  return text?.split(/(?<!\\):+/).map((path) => path.replaceAll("\\:", ":"));
}
