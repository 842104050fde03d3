import { KvmsecError, usageError } from "../base/errors.ts";
import { openKernel } from "../linux/discovery/open-kernel.ts";
import type { OpenKernelOptions } from "../linux/discovery/open-kernel.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { OpenDumpOptions } from "../memory/open-dump.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import { FileSymbolCache } from "./decode-cache.ts";
import { openGuestRam } from "./guest-ram.ts";
import { qemuProcess } from "./qemu-process.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { findTarget } from "./target.ts";
import type { Target } from "./target.ts";

export type AttachOptions = Pick<OpenKernelOptions, "types" | "symbols"> & {
  /** Do not keep decoded symbols on disk. */
  readonly noCache?: boolean;
  /** How to read a `file:` target. */
  readonly dump?: OpenDumpOptions;
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

  /**
   * Throws KVMSEC_TARGET_GONE where the process has ended and KVMSEC_KERNEL_GONE where another kernel
   * runs by now: what is read then means nothing.
   */
  requireAlive(): void {
    if (!this.alive) {
      throw new KvmsecError("KVMSEC_TARGET_GONE", `The guest ${this.target.text} has ended.`, {
        hint: "kvmsec targets lists the guests that run.",
      });
    }
    if (this.kernel.inPlace()) return;
    throw new KvmsecError(
      "KVMSEC_KERNEL_GONE",
      `The kernel of ${this.target.text} is no longer where it was: the guest has rebooted.`,
      { hint: "Look again once it has booted." },
    );
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}

/**
 * Opens a target's memory and understands the kernel in it. Where that holds more than one kernel,
 * the target's processors are asked which of them runs. Throws coded errors, see openKernel.
 */
export async function attach(text: string, options: AttachOptions = {}): Promise<Guest> {
  const target = findTarget(text);
  const memory = await openTargetMemory(target, options.dump);
  try {
    const known: OpenKernelOptions = {
      ...(options.noCache === true ? {} : { cache: new FileSymbolCache() }),
      ...(options.types === undefined ? {} : { types: options.types }),
      ...(options.symbols === undefined ? {} : { symbols: options.symbols }),
    };
    const kernel = openAlone(memory, known);
    if (kernel !== undefined) return new Guest(target, memory, kernel);
    const { readProcessorRoots } = await import("./processors.ts");
    const processorRoots = await readProcessorRoots({ target, memory });
    return new Guest(target, memory, openKernel(memory, { ...known, processorRoots }));
  } catch (error) {
    memory[Symbol.dispose]();
    throw error;
  }
}

/** The kernel, where there is no doubt which it is. */
function openAlone(memory: PhysicalMemory, options: OpenKernelOptions): Kernel | undefined {
  try {
    const kernel = openKernel(memory, options);
    return kernel.warnings.length === 0 ? kernel : undefined;
  } catch (error) {
    if (error instanceof KvmsecError && error.code === "KVMSEC_KERNELS_TOO_MANY") return undefined;
    throw error;
  }
}

/**
 * The guest-physical memory behind a target, understood or not. `dump` says how to read a file, and
 * is refused for a running guest (KVMSEC_DUMP_OPTIONS).
 */
export async function openTargetMemory(
  target: Target,
  dump?: OpenDumpOptions,
): Promise<PhysicalMemory> {
  if (target.kind === "file") {
    const { openDump } = await import("../memory/open-dump.ts");
    return openDump(target.path, dump);
  }
  if (dump === undefined) return openRunning(target.qemu);
  throw usageError(
    "KVMSEC_DUMP_OPTIONS",
    `${target.text} is a running guest; how to read a dump means nothing there.`,
    "Give --raw-image, --low-size, --salvage, --zero-excluded and --part only with file:PATH.",
  );
}

/** Memory that was plugged in later stands on no command line. */
async function openRunning(qemu: QemuProcess): Promise<PhysicalMemory> {
  if (!qemu.arguments.canGrow) return openGuestRam(qemu);
  const { askPluggedMemory } = await import("./plugged-memory.ts");
  return openGuestRam(qemu, await askPluggedMemory(qemu));
}
