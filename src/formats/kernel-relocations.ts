import type { Elf } from "./elf.ts";

/**
 * Places that the boot code changes when the kernel is moved by `delta` (arch/x86/tools/relocs.c
 * writes them behind the ELF file, arch/x86/boot/compressed/misc.c applies them): signed link
 * addresses, ascending in no particular order.
 */
export type KernelRelocations = {
  /** 32-bit words to which the distance is added. */
  readonly absolute32: Float64Array;
  /** 64-bit words to which it is added. */
  readonly absolute64: Float64Array;
  /** 32-bit words from which it is taken: per-CPU references, before 6.15. */
  readonly inverse32: Float64Array;
};

const SECTION_HEADER = 64;
/** Some 200,000 in a distribution's kernel. */
const MAX_RELOCATIONS = 1 << 22;

/**
 * Reads the relocations that follow an ELF kernel in a boot image: lists of 32-bit addresses,
 * each after a zero; 64-bit ones first, then inverse ones where there is such a list, then
 * 32-bit ones. Undefined where nothing follows (a kernel that cannot be moved).
 */
export function readKernelRelocations(
  unpacked: Uint8Array,
  elf: Elf,
): KernelRelocations | undefined {
  const end = elfEnd(unpacked, elf);
  const words = Math.floor((unpacked.length - end) / 4);
  if (words < 2 || words > MAX_RELOCATIONS) return undefined;
  const view = new DataView(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
  const lists: number[][] = [];
  for (let word = 0; word < words; word++) {
    const address = view.getInt32(end + word * 4, true);
    if (address === 0) lists.push([]);
    else lists.at(-1)?.push(address);
  }
  const [absolute64, ...rest] = lists.map((list) => Float64Array.from(list));
  const absolute32 = rest.at(-1);
  if (absolute32 === undefined || rest.length > 2) return undefined;
  const inverse32 = rest.length === 2 ? rest[0] : new Float64Array();
  return { absolute32, absolute64, inverse32 };
}

/** The section headers are the last thing in an ELF file that objcopy wrote. */
function elfEnd(bytes: Uint8Array, elf: Elf): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headers = Number(view.getBigUint64(40, true)) + elf.sections.length * SECTION_HEADER;
  const data = elf.sections.map(({ offset, size, type }) => (type === 8 ? 0 : offset + size));
  return Math.ceil(Math.max(headers, ...data) / 4) * 4;
}

/**
 * Moves an image that is laid out from `imageBase` by `delta`, in place. Relocations outside the
 * image are passed over. Returns how many were applied.
 */
export function relocateKernel(
  image: Uint8Array,
  imageBase: number,
  relocations: KernelRelocations,
  delta: number,
): number {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  let applied = 0;
  const each = (list: Float64Array, size: number, change: (at: number) => void): void => {
    for (const address of list) {
      const at = address - imageBase;
      if (at < 0 || at + size > image.length) continue;
      change(at);
      applied++;
    }
  };
  const add32 = (at: number, by: number): void =>
    view.setInt32(at, view.getInt32(at, true) + by, true);
  each(relocations.absolute32, 4, (at) => add32(at, delta));
  each(relocations.inverse32, 4, (at) => add32(at, -delta));
  each(relocations.absolute64, 8, (at) => {
    view.setBigInt64(at, view.getBigInt64(at, true) + BigInt(delta), true);
  });
  return applied;
}
