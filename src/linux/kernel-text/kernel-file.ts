import type { GuestVirtual } from "../../base/address.ts";
import { parseVmlinux } from "../../formats/vmlinux.ts";
import { readKernelRelocations, relocateKernel } from "../../formats/kernel-relocations.ts";
import type { Kernel } from "../kernel.ts";

export type Section = { readonly start: GuestVirtual; readonly size: number };

/** Sections that boot code may leave apart from the rest of the image. */
const MAX_SECTIONS = 512;

/**
 * The kernel file that the guest booted, laid out and moved as its boot code did: what memory held
 * before the kernel began to patch itself. Init sections that the guest has long freed are here.
 */
export class KernelFile {
  /** From `base` on. */
  readonly image: Uint8Array;
  readonly base: GuestVirtual;
  readonly sections: ReadonlyMap<string, Section>;

  constructor(image: Uint8Array, base: GuestVirtual, sections: ReadonlyMap<string, Section>) {
    this.image = image;
    this.base = base;
    this.sections = sections;
  }

  /** A view of the bytes at a (moved) address, undefined where the image ends before. */
  bytes(address: GuestVirtual, length: number): Uint8Array | undefined {
    const at = address - this.base;
    if (!(at >= 0 && length >= 0 && at + length <= this.image.length)) return undefined;
    return this.image.subarray(at, at + length);
  }

  /** Signed 32-bit word at an address, NaN outside the image. */
  i32(address: GuestVirtual): number {
    const at = address - this.base;
    if (!(at >= 0 && at + 4 <= this.image.length)) return Number.NaN;
    const { image } = this;
    return image[at] | (image[at + 1] << 8) | (image[at + 2] << 16) | (image[at + 3] << 24);
  }

  /** An address that the image holds, signed; NaN outside. */
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
  return { ok: true, file: new KernelFile(vmlinux.image, kernel.image.virtual, sections) };
}
