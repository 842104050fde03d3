import { AddressFolding } from "../../arch/x86/address-folding.ts";
import { AddressSpace } from "../../arch/x86/address-space.ts";
import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import { KvmsecError } from "../../base/errors.ts";
import type { SymbolFile } from "../../formats/symbol-file.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { TypeFile } from "../../formats/type-file.ts";
import { physicalSize } from "../../memory/physical-memory.ts";
import { partialBytes } from "../../memory/partial-bytes.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { firstProcess } from "../first-process.ts";
import { Kernel, MAX_BANNER } from "../kernel.ts";
import { byLikelihood, choose, isCurrent } from "./choose-kernel.ts";
import { loadKernelTypes } from "./kernel-types.ts";
import { releaseOf } from "./identity.ts";
import type { KernelIdentity } from "./identity.ts";
import { findKernelImages } from "./kernel-image.ts";
import type { KernelImage } from "./kernel-image.ts";
import { findKnownImages } from "./known-kernels.ts";
import { tracesOfOthers } from "./other-systems.ts";
import { findPageTables } from "./page-table-root.ts";
import type { SymbolCache } from "./symbol-cache.ts";
import { decodeSymbols, knownSymbols } from "./symbols.ts";
import type { LoadedSymbols } from "./symbols.ts";

const BOOTING = "KVMSEC_KERNEL_BOOTING";

export type OpenKernelOptions = {
  /** Decoded symbols by build id; without one every look decodes anew. */
  readonly cache?: SymbolCache;
  /** Type information for a kernel that carries no BTF; its symbols serve too. */
  readonly types?: TypeFile;
  /** Symbols for a kernel whose own table lacks variables (CONFIG_KALLSYMS_ALL), or that has none. */
  readonly symbols?: SymbolFile;
  /** Roots that the guest's processors use now (CR3), where a channel to them exists. */
  readonly processorRoots?: readonly GuestPhysical[];
};

/** A guest of many nested ones has fewer. Each may cost as much as a large kernel's. */
const MAX_IMAGES = 16;

/**
 * Understands the kernel in a guest's memory from nothing but that memory. Each step is verified
 * against the ones before; what cannot be decoded is an error that names the step:
 * KVMSEC_KERNEL_NOT_FOUND, KVMSEC_SYMBOLS_NOT_FOUND, KVMSEC_PAGE_TABLES_NOT_FOUND,
 * KVMSEC_TYPES_NOT_FOUND, KVMSEC_KERNEL_INCONSISTENT, KVMSEC_KERNEL_BOOTING,
 * KVMSEC_KERNELS_TOO_MANY.
 */
export function openKernel(memory: PhysicalMemory, options: OpenKernelOptions = {}): Kernel {
  memory.refresh();
  const known = openKnown(memory, options);
  const current = known.some((kernel) => isCurrent(kernel, options.processorRoots));
  return current ? choose(known, options.processorRoots) : searchKernel(memory, options);
}

/**
 * Kernels that an earlier look decoded. What is left of one after a reboot is passed over; but where
 * one runs whose table of symbols is not the known one, all is left to the search.
 */
function openKnown(memory: PhysicalMemory, options: OpenKernelOptions): Kernel[] {
  const { cache } = options;
  if (cache === undefined) return [];
  const kernels: Kernel[] = [];
  for (const found of findKnownImages(memory, cache.known())) {
    try {
      const loaded = knownSymbols(memory, found, cache);
      if (loaded === undefined) continue;
      const kernel = assemble(memory, found.image, loaded, options);
      if (loaded.proved) kernels.push(kernel);
      else if (isCurrent(kernel, options.processorRoots)) return [];
    } catch (error) {
      if (!(error instanceof KvmsecError)) throw error;
    }
  }
  return kernels;
}

function searchKernel(memory: PhysicalMemory, options: OpenKernelOptions): Kernel {
  const failures: KvmsecError[] = [];
  const kernels: Kernel[] = [];
  const { images, unread } = findKernelImages(memory);
  const likely = byLikelihood(memory, images, options.processorRoots);
  for (const image of likely.slice(0, MAX_IMAGES)) {
    try {
      const loaded = decodeSymbols(imageBytes(memory, image), image, {
        cache: options.cache,
        given: options.symbols ?? symbolsOf(options.types),
      });
      // All of the image was gone through, and little of it is looked at again.
      memory.forget?.({ start: image.physical, size: image.size });
      kernels.push(assemble(memory, image, loaded, options));
    } catch (error) {
      if (!(error instanceof KvmsecError)) throw error;
      failures.push(error);
    }
  }
  if (images.length > MAX_IMAGES) failures.unshift(tooMany(images.length));
  // What was understood, and only has to be waited for, says more than what was not.
  const booting = failures.find(({ code }) => code === BOOTING);
  if (kernels.length === 0) throw booting ?? failures[0] ?? noKernel(memory, unread);
  return choose(kernels, options.processorRoots, failures);
}

function symbolsOf(types: TypeFile | undefined): SymbolFile | undefined {
  const symbols = types?.symbols;
  return types && symbols && { symbols, buildId: types.buildId, banner: types.banner };
}

/** A filtered dump may lack pages of the image, such as those freed after boot: they are zero. */
function imageBytes(memory: PhysicalMemory, image: KernelImage): Uint8Array {
  const { bytes, missing } = partialBytes(memory, image.physical, image.size);
  if (missing <= image.size / 2) return bytes;
  throw new KvmsecError(
    "KVMSEC_KERNEL_NOT_FOUND",
    "A kernel's page tables were found, but its image is not all there.",
    { hint: "The dump is cut off or damaged; take another one." },
  );
}

function assemble(
  memory: PhysicalMemory,
  image: KernelImage,
  { symbols, buildId }: LoadedSymbols,
  options: OpenKernelOptions,
): Kernel {
  const folding = new AddressFolding();
  const { root, levels } = findPageTables(memory, image, symbols, folding);
  const space = new AddressSpace(memory, folding, root, levels);
  if (levels === 5) folding.follow((index, below) => space.tables.isPopulated(index, below));
  const identity = identify(space, symbols, levels, buildId);
  const types = loadKernelTypes(space, symbols, identity, options.types);
  const kernel = new Kernel({ memory, image, space, symbols, types, identity, warnings: [] });
  confirmInitTask(kernel);
  confirmStarted(kernel);
  return kernel;
}

function identify(
  space: AddressSpace,
  symbols: SymbolTable,
  levels: 4 | 5,
  buildId: string | undefined,
): KernelIdentity {
  const banner = (space.string(symbols.address("linux_banner"), MAX_BANNER) ?? "").trimEnd();
  const release = releaseOf(banner);
  if (release === undefined) throw inconsistent("linux_banner holds no banner");
  return { release, banner, buildId, levels };
}

/** The last proof: symbols, types and translation agree on the very first task. */
function confirmInitTask(kernel: Kernel): void {
  const task: GuestVirtual = kernel.requireSymbol("init_task");
  const comm = kernel.space.string(kernel.reader("task_struct", "comm")(task), 16);
  if (comm === undefined || !comm.startsWith("swapper")) {
    throw inconsistent(`init_task is called ${JSON.stringify(comm ?? null)}, not swapper`);
  }
}

/**
 * Until it makes its first process, a kernel still chooses where its regions lie and which gates it
 * has: what is learnt of it then does not hold later. rest_init (init/main.c) makes that process and
 * then leaves SYSTEM_BOOTING. Both are looked at: a guest cannot unlink every task, nor hide by
 * writing one word.
 */
function confirmStarted(kernel: Kernel): void {
  const state = kernel.space.u32(kernel.symbol("system_state"));
  if (state !== kernel.types.enumerator("system_states", "SYSTEM_BOOTING")) return;
  if (firstProcess(kernel) !== undefined) return;
  throw new KvmsecError(
    BOOTING,
    "The guest's kernel is only just booting: it has started no process yet.",
    { hint: "Try again in a second." },
  );
}

const NOTHING_THERE =
  "The guest may still be in its firmware or boot loader, be powered off, or run another system; try again once it has booted.";

function noKernel(memory: PhysicalMemory, unread: number): KvmsecError {
  const size = Math.round(physicalSize(memory) / 2 ** 20);
  const missing = Math.ceil(unread / 2 ** 20);
  const but = missing === 0 ? "" : `, of which ${missing} MiB could not be read`;
  return new KvmsecError(
    "KVMSEC_KERNEL_NOT_FOUND",
    `No 64-bit Linux kernel was found in ${size} MiB of guest memory${but} (step: kernel page tables).`,
    { hint: tracesOfOthers(memory) ?? NOTHING_THERE },
  );
}

function tooMany(count: number): KvmsecError {
  return new KvmsecError(
    "KVMSEC_KERNELS_TOO_MANY",
    `What looks like a kernel lies in this memory ${count} times, which is somebody's forgery; ${MAX_IMAGES} were looked at.`,
    { hint: "Give the VM a QMP socket, so that its processors can be asked which of them runs." },
  );
}

function inconsistent(what: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_KERNEL_INCONSISTENT",
    `A kernel was found, but its parts do not fit together: ${what}.`,
    {
      hint: "The guest may be booting right now, or its memory was forged; try again in a second.",
    },
  );
}
