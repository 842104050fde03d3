import type { GuestPhysical } from "../../base/address.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { imageAt } from "./kernel-image.ts";
import type { KernelImage } from "./kernel-image.ts";
import { scanParts } from "./scan.ts";
import type { KnownKernel } from "./symbol-cache.ts";

/** Kernels lie at multiples of CONFIG_PHYSICAL_ALIGN, 2 MiB at the least. */
const ALIGNMENT = 0x20_0000;

/** Around each byte that is read of a mapping the host maps 64 KiB (fault_around_bytes). */
const PART = 0x100_0000;

type Wanted = { readonly kernel: KnownKernel; readonly id: Buffer };

export type KnownImage = { readonly image: KernelImage; readonly kernel: KnownKernel };

/**
 * Looks for kernels that were seen before at every place where one can lie: a few reads for each
 * 2 MiB instead of a search through all memory. What it finds passed the same tests as what
 * `findKernelImages` finds, and carries the right build id.
 */
export function findKnownImages(
  memory: PhysicalMemory,
  kernels: readonly KnownKernel[],
): KnownImage[] {
  if (kernels.length === 0) return [];
  const wanted = kernels.map((kernel) => ({ kernel, id: Buffer.from(kernel.buildId, "hex") }));
  const found: KnownImage[] = [];
  for (const range of scanParts(memory, PART)) {
    const end = range.start + range.size;
    const first = Math.floor(range.start / ALIGNMENT) * ALIGNMENT;
    for (let place = first; place < end; place += ALIGNMENT) {
      for (const each of wanted) {
        const image = knownAt(memory, each, place);
        if (image !== undefined && !found.some((other) => other.image.physical === place)) {
          found.push({ image, kernel: each.kernel });
        }
      }
    }
  }
  return found;
}

function knownAt(
  memory: PhysicalMemory,
  { kernel, id }: Wanted,
  place: GuestPhysical,
): KernelImage | undefined {
  const at = memory.offsetOf(place + kernel.buildIdOffset);
  // One byte rules out nearly every place.
  if (at < 0 || memory.u8[at] !== id[0]) return undefined;
  const bytes = memory.bytes(place + kernel.buildIdOffset, id.length);
  if (bytes === undefined || !id.equals(bytes)) return undefined;
  const image = imageAt(memory, place + kernel.level3Offset);
  return image?.physical === place ? image : undefined;
}
