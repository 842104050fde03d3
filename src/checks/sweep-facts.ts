import type { Kernel } from "../linux/kernel.ts";
import type { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { FindFilesOnDisk } from "../linux/file-on-disk.ts";
import type { FindModuleFile } from "../linux/module-file.ts";
import type { ProcessorRegisters } from "../vm/processors.ts";

/** A value computed at the first use in a sweep, and once only. */
export type Fact<T> = { readonly make: (facts: SweepFacts) => T };

/** Declares a fact that several checks share: `const modules = fact(({ kernel }) => …)`. */
export function fact<T>(make: (facts: SweepFacts) => T): Fact<T> {
  return { make };
}

/** What the host may know of the guest beyond its memory. All of it is optional. */
export type HostKnowledge = {
  /** Registers of each vCPU, where a channel to them exists (QMP, a dump's notes). */
  readonly processors?: readonly ProcessorRegisters[];
  /** Why there are none. */
  readonly processorsMissing?: string;
  /** Comparison with the guest's own kernel file, matched by build id. It remembers what it verified. */
  readonly text?: TextIntegrity;
  /** Why there is none. */
  readonly textMissing?: string;
  /** The files of loaded modules; undefined where nowhere was looked for them. */
  readonly moduleFile?: FindModuleFile;
  /** Programs as they lie on the guest's disks; undefined where nowhere was looked. */
  readonly filesOnDisk?: FindFilesOnDisk;
};

/** What one sweep knows. A new one is made for each look. */
export class SweepFacts {
  readonly kernel: Kernel;
  readonly host: HostKnowledge;
  readonly #known = new Map<Fact<unknown>, unknown>();

  constructor(kernel: Kernel, host: HostKnowledge = {}) {
    this.kernel = kernel;
    this.host = host;
  }

  get<T>(wanted: Fact<T>): T {
    if (!this.#known.has(wanted)) this.#known.set(wanted, wanted.make(this));
    return this.#known.get(wanted) as T;
  }
}
