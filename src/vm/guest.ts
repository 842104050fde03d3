import { KvmsecError } from "../base/errors.ts";
import { openKernel } from "../linux/discovery/open-kernel.ts";
import type { OpenKernelOptions } from "../linux/discovery/open-kernel.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import { FileSymbolCache } from "./decode-cache.ts";
import { openGuestRam } from "./guest-ram.ts";
import { qemuProcess } from "./qemu-process.ts";
import { findTarget } from "./target.ts";
import type { Target } from "./target.ts";

export type AttachOptions = Pick<OpenKernelOptions, "types"> & {
  /** Do not keep decoded symbols on disk. */
  readonly noCache?: boolean;
};

/** A guest that was understood: its memory and its kernel. */
export class Guest implements Disposable {
  readonly target: Target;
  readonly memory: PhysicalMemory;
  readonly kernel: Kernel;

  constructor(target: Target, memory: PhysicalMemory, kernel: Kernel) {
    this.target = target;
    this.memory = memory;
    this.kernel = kernel;
  }

  /** Whether the watched process is still the one that was attached to; true for a dump. */
  get alive(): boolean {
    if (this.target.kind === "file") return true;
    const { pid, startTime } = this.target.qemu;
    return qemuProcess(pid)?.startTime === startTime;
  }

  /** Throws KVMSEC_TARGET_GONE where the process has ended: what is read now means nothing. */
  requireAlive(): void {
    if (this.alive) return;
    throw new KvmsecError("KVMSEC_TARGET_GONE", `The guest ${this.target.text} has ended.`, {
      hint: "kvmsec targets lists the guests that run.",
    });
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}

/** Opens a target's memory and understands the kernel in it. Throws coded errors, see openKernel. */
export async function attach(text: string, options: AttachOptions = {}): Promise<Guest> {
  const target = findTarget(text);
  const memory = await openTargetMemory(target);
  try {
    const kernel = openKernel(memory, {
      ...(options.noCache === true ? {} : { cache: new FileSymbolCache() }),
      ...(options.types === undefined ? {} : { types: options.types }),
    });
    return new Guest(target, memory, kernel);
  } catch (error) {
    memory[Symbol.dispose]();
    throw error;
  }
}

/** The guest-physical memory behind a target, understood or not. */
export async function openTargetMemory(target: Target): Promise<PhysicalMemory> {
  if (target.kind === "qemu") return openGuestRam(target.qemu);
  const { openDump } = await import("../memory/open-dump.ts");
  return openDump(target.path);
}
