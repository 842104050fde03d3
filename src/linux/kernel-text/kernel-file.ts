import type { GuestVirtual } from "../../base/address.ts";
import { parseVmlinux } from "../../formats/vmlinux.ts";
import { readKernelRelocations, relocateKernel } from "../../formats/kernel-relocations.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { Kernel } from "../kernel.ts";
import type { CodeFile, Section, StaticCallTrampoline } from "./code-file.ts";

/** Sections that boot code may leave apart from the rest of the image. */
const MAX_SECTIONS = 512;

/** The kernel file that the guest booted. Init sections that the guest has long freed are here. */
export class KernelFile implements CodeFile {
  /** From `base` on. */
  readonly image: Uint8Array;
  readonly base: GuestVirtual;
  readonly sections: ReadonlyMap<string, Section>;
  readonly tables: CodeFile["tables"];
  readonly staticCallTrampolines: readonly StaticCallTrampoline[];

  constructor(kernel: Kernel, image: Uint8Array, sections: ReadonlyMap<string, Section>) {
    this.image = image;
    this.base = kernel.image.virtual;
    this.sections = sections;
    this.tables = kernelTables(kernel);
    this.staticCallTrampolines = [...symbolTrampolines(kernel.symbols)];
  }

  bytes(address: GuestVirtual, length: number): Uint8Array | undefined {
    const at = address - this.base;
    if (!(at >= 0 && length >= 0 && at + length <= this.image.length)) return undefined;
    return this.image.subarray(at, at + length);
  }

  i32(address: GuestVirtual): number {
    const at = address - this.base;
    if (!(at >= 0 && at + 4 <= this.image.length)) return Number.NaN;
    const { image } = this;
    return image[at] | (image[at + 1] << 8) | (image[at + 2] << 16) | (image[at + 3] << 24);
  }

  pointer(address: GuestVirtual): GuestVirtual {
    return this.i32(address + 4) * 2 ** 32 + (this.i32(address) >>> 0);
  }
}

/**
 * Prepares an unpacked kernel (ELF, with its relocations behind it) for comparison with a guest.
 * A reason where it is not that guest's kernel, or cannot be moved.
 */
export function prepareKernelFile(
  kernel: Kernel,
  unpacked: Uint8Array,
): { ok: true; file: KernelFile } | { ok: false; reason: string } {
  const parsed = parseVmlinux(unpacked);
  if (!parsed.ok) return parsed;
  const { vmlinux } = parsed;
  const { buildId } = kernel.identity;
  if (buildId === undefined || vmlinux.buildId !== buildId) {
    return { ok: false, reason: `it has build id ${vmlinux.buildId}, the guest's has ${buildId}` };
  }
  const delta = kernel.image.virtual - vmlinux.imageBase;
  const relocations = readKernelRelocations(unpacked, vmlinux.elf);
  if (relocations === undefined && delta !== 0) {
    return { ok: false, reason: "it carries no relocations, but the guest's kernel was moved" };
  }
  if (relocations !== undefined) {
    relocateKernel(vmlinux.image, vmlinux.imageBase, relocations, delta);
  }
  const sections = new Map<string, Section>();
  for (const section of vmlinux.elf.sections.slice(0, MAX_SECTIONS)) {
    const start = Number(BigInt.asIntN(64, section.address)) + delta;
    if (section.address !== 0n) sections.set(section.name, { start, size: section.size });
  }
  return { ok: true, file: new KernelFile(kernel, vmlinux.image, sections) };
}

/** The kernel's own tables of patch sites: they lie between symbols. */
export function kernelTables(kernel: Kernel): CodeFile["tables"] {
  return {
    mcount: between(kernel, "__start_mcount_loc", "__stop_mcount_loc"),
    staticCalls: between(kernel, "__start_static_call_sites", "__stop_static_call_sites"),
    jumpLabels: between(kernel, "__start___jump_table", "__stop___jump_table"),
  };
}

/** A table between two symbols (include/asm-generic/vmlinux.lds.h). */
function between(kernel: Kernel, start: string, stop: string): Section | undefined {
  const from = kernel.symbol(start);
  const size = kernel.symbol(stop) - from;
  return size > 0 ? { start: from, size } : undefined;
}

/** `__SCT__name` jumps to what the key `__SCK__name` holds (arch/x86/include/asm/static_call.h). */
export function* symbolTrampolines(symbols: SymbolTable): Generator<StaticCallTrampoline> {
  for (const index of symbols.startingWith("__SCT__")) {
    const { name, address } = symbols.entry(index);
    yield { address, key: symbols.address(name.replace("__SCT__", "__SCK__")) };
  }
}
