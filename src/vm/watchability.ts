import { KvmsecError } from "../base/errors.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { locateParts } from "./ram-location.ts";
import type { RamKind } from "./ram-location.ts";

/** How well a QEMU can be watched from here. */
export type Watchability = {
  readonly ram: RamKind | undefined;
  /** `mapped`: no byte is copied; `copied`: page by page; `none`: see `reason`. */
  readonly reading: "mapped" | "copied" | "none";
  /** Why it cannot be read, or what would make it better. */
  readonly reason: string | undefined;
};

/** Looks where a QEMU keeps its RAM, and whether this user may read it. */
export function watchability(qemu: QemuProcess): Watchability {
  try {
    const kinds = locateParts(qemu).map(({ kind }) => kind);
    if (!kinds.includes("anonymous")) {
      return { ram: kinds[0], reading: "mapped", reason: undefined };
    }
    return {
      ram: "anonymous",
      reading: "copied",
      reason: "start QEMU with memory-backend-memfd,share=on to have its RAM mapped",
    };
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    return { ram: undefined, reading: "none", reason: error.message };
  }
}
