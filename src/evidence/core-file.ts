import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import type { Kernel } from "../linux/kernel.ts";
import { regionBase } from "../linux/memory-layout.ts";
import type { RamBlock } from "../memory/ranges.ts";
import { coreHeader, RAM_AT } from "./core-header.ts";
import type { KernelSelf } from "./core-header.ts";
import type { ProcessorState } from "./registers.ts";

/** A core file in the making: RAM first, its head when the notes are known. */
export class CoreFile implements Disposable {
  readonly fd: number;
  readonly ramAt = RAM_AT;
  readonly #blocks: readonly RamBlock[];

  constructor(path: string, blocks: readonly RamBlock[]) {
    this.#blocks = blocks;
    this.fd = openSync(path, "wx", 0o600);
    ftruncateSync(this.fd, RAM_AT + blocks.reduce((sum, { size }) => sum + size, 0));
  }

  /** Writes the head, or writes it anew with what was learned since. */
  writeHead(cpus: readonly ProcessorState[], kernel?: KernelSelf): void {
    writeSync(this.fd, coreHeader(this.#blocks, cpus, kernel), 0, undefined, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

/** No kernel's is longer than a page (include/linux/crash_core.h: VMCOREINFO_BYTES). */
const MAX_VMCOREINFO = 4096;

/**
 * The text that the kernel keeps for its own crash dumps (kernel/crash_core.c: vmcoreinfo_data,
 * vmcoreinfo_size), or undefined where it was built without.
 */
function vmcoreinfoOf(kernel: Kernel): Uint8Array | undefined {
  const { space } = kernel;
  const size = space.count(kernel.symbol("vmcoreinfo_size"));
  if (!(size > 0 && size <= MAX_VMCOREINFO)) return undefined;
  return space.bytes(space.pointer(kernel.symbol("vmcoreinfo_data")), size);
}

/** What debuggers need to know of a kernel that was understood. */
export function kernelSelf(kernel: Kernel): KernelSelf {
  const { space, image } = kernel;
  const directMap = regionBase(kernel, "page_offset_base");
  return {
    vmcoreinfo: vmcoreinfoOf(kernel),
    directMap: directMap < 0 ? space.folding.unfold(directMap) : undefined,
    image: {
      virtual: space.folding.unfold(image.virtual),
      physical: image.physical,
      size: image.size,
    },
  };
}
