import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import { entryFrame } from "../../arch/x86/page-tables.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { scanRanges } from "./scan.ts";

/** Start of the kernel image map, `__START_KERNEL_map` (arch/x86/include/asm/page_64_types.h). */
export const START_KERNEL_MAP: GuestVirtual = -0x8000_0000;

const MIB_2 = 0x20_0000;
const PRESENT = 0x1;
const LARGE = 0x80;
const ENTRIES = 512;
/** KERNEL_IMAGE_SIZE without KASLR (arch/x86/include/asm/page_64_types.h); real ones have 30 to 80 MiB. */
const MAX_IMAGE_SIZE = 2 ** 29;

/** A kernel image as its own page tables map it: physically contiguous from a 2-MiB boundary. */
export type KernelImage = {
  /** Where `_text` appears, with the virtual KASLR slide. */
  readonly virtual: GuestVirtual;
  /** Where it lies, with the physical KASLR slide. */
  readonly physical: GuestPhysical;
  /** Bytes from `_text` to the end of the mapping, a multiple of 2 MiB. */
  readonly size: number;
  /** `level3_kernel_pgt`, to which every address space's last root entry leads. */
  readonly level3: GuestPhysical;
};

/** What a search found, and how many bytes of memory it could not look at. */
export type FoundImages = { readonly images: readonly KernelImage[]; readonly unread: number };

/**
 * Finds kernel images by `level3_kernel_pgt` (arch/x86/kernel/head_64.S): a page of 510 empty
 * entries and two tables, the first of which maps, in 2-MiB steps, an image in which both tables
 * lie themselves. Nothing else is needed: no register, no symbol, no boot-time hint.
 */
export function findKernelImages(memory: PhysicalMemory): FoundImages {
  const images: KernelImage[] = [];
  const unread = scanRanges(memory, (chunk, start) => {
    const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.byteLength >>> 2);
    for (let page = 0; page + 1024 <= words.length; page += 1024) {
      if (!looksLikeLevel3(words, page)) continue;
      const image = imageAt(memory, start + page * 4);
      if (image !== undefined) images.push(image);
    }
  });
  return { images, unread };
}

/** The image whose `level3_kernel_pgt` lies at `level3`, or undefined. */
export function imageAt(memory: PhysicalMemory, level3: GuestPhysical): KernelImage | undefined {
  const top = memory.bytes(level3, PAGE_SIZE);
  if (top === undefined) return undefined;
  const words = new Uint32Array(top.buffer, top.byteOffset, 1024);
  if (!looksLikeLevel3(words, 0)) return undefined;
  const level2 = entryFrame(words[1020]!, words[1021]!);
  const table = memory.bytes(level2, PAGE_SIZE);
  if (table === undefined) return undefined;
  const image = mappedImage(memory, new Uint32Array(table.buffer, table.byteOffset, 1024), level3);
  if (image === undefined || image.size > MAX_IMAGE_SIZE) return undefined;
  return holds(image, level3) && holds(image, level2) ? image : undefined;
}

function holds(image: KernelImage, physical: GuestPhysical): boolean {
  return physical >= image.physical && physical < image.physical + image.size;
}

/** Entries 510 and 511 are tables, all others empty. Checked from the end, where it fails first. */
function looksLikeLevel3(words: Uint32Array, page: number): boolean {
  if (!isTable(words[page + 1022]!) || !isTable(words[page + 1020]!)) return false;
  for (let word = page + 1019; word >= page; word--) if (words[word] !== 0) return false;
  return true;
}

function isTable(low: number): boolean {
  return (low & PRESENT) !== 0 && (low & LARGE) === 0;
}

/** The first run of `level2_kernel_pgt` that maps consecutive 2-MiB frames. */
function mappedImage(
  memory: PhysicalMemory,
  words: Uint32Array,
  level3: GuestPhysical,
): KernelImage | undefined {
  let first = 0;
  while (first < ENTRIES && (words[first * 2]! & PRESENT) === 0) first++;
  if (first === ENTRIES) return undefined;
  const physical = frameOf(memory, words, first);
  if (physical < 0 || physical % MIB_2 !== 0) return undefined;
  let last = first;
  for (let index = first + 1; index < ENTRIES; index++) {
    if ((words[index * 2]! & PRESENT) === 0) continue;
    // Sections whose permissions differ inside 2 MiB are split into 4-KiB tables, and freed
    // ones leave holes: both keep the image's one distance between virtual and physical.
    if ((words[index * 2]! & LARGE) === 0) last = index;
    else if (frameOf(memory, words, index) === physical + (index - first) * MIB_2) last = index;
    else break;
  }
  return {
    virtual: START_KERNEL_MAP + first * MIB_2,
    physical,
    size: (last - first + 1) * MIB_2,
    level3,
  };
}

/** Physical start of the 2 MiB that an entry maps, directly or through the table's first page. */
function frameOf(memory: PhysicalMemory, words: Uint32Array, index: number): GuestPhysical {
  const low = words[index * 2]!;
  const frame = entryFrame(low, words[index * 2 + 1]!);
  if ((low & LARGE) !== 0) return frame - (frame % MIB_2);
  const at = memory.offsetOf(frame);
  if (at < 0) return -1;
  const entry = memory.u32[at / 4]!;
  return (entry & PRESENT) === 0 ? -1 : entryFrame(entry, memory.u32[at / 4 + 1]!);
}
