import type { Guest } from "../vm/guest.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";

/** What a sweep says of a guest as a whole. */
export type Inspection = {
  /** `unsure`: nothing was found, but a decisive part could not be looked at. */
  readonly verdict: "clean" | "tampered" | "unsure";
  /** Titles of the findings, or why it is unsure. */
  readonly reasons: readonly string[];
  /** What less decisive checks could not see. */
  readonly gaps: readonly string[];
  /** The sweep as `kvmsec check --json` tells it. */
  readonly document: object;
};

/**
 * Sweeps a guest. Reactions get it from whoever starts them, so that they need not know the checks.
 * `disksOf` is the QEMU whose disks belong to a guest that is a copy of its memory.
 */
export type Inspect = (
  guest: Guest,
  kernelFile?: string,
  disksOf?: QemuProcess,
) => Promise<Inspection>;
