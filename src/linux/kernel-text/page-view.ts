import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestVirtual } from "../../base/address.ts";
import { PassedPages } from "../../memory/passed-pages.ts";
import type { Kernel } from "../kernel.ts";

/**
 * A page of code as the guest has it now, translated anew, so that a remapped one is not overlooked.
 * A view of the guest's own memory: good for a moment only. `length` stays within the page.
 */
export function pageView(
  { space }: Kernel,
  page: GuestVirtual,
  length: number,
): Uint8Array | undefined {
  return viewAt(space, space.physical(page), length);
}

/** A page of code, or what a section has of it; undefined where it is not in memory. */
export type CodePage = {
  readonly start: GuestVirtual;
  readonly length: number;
  readonly view: Uint8Array | undefined;
};

/** The pages of a section, one after the other; of many, few stay resident. */
export function* codePages(
  { space }: Kernel,
  section: { readonly start: GuestVirtual; readonly size: number },
): Generator<CodePage> {
  const passed = new PassedPages(space.memory);
  const end = section.start + section.size;
  for (let start = section.start; start < end; start = pageAfter(start)) {
    const physical = space.physical(start);
    if (physical >= 0) passed.add(physical - (physical % PAGE_SIZE));
    const length = Math.min(pageAfter(start), end) - start;
    yield { start, length, view: viewAt(space, physical, length) };
  }
}

function pageAfter(address: GuestVirtual): GuestVirtual {
  return (Math.floor(address / PAGE_SIZE) + 1) * PAGE_SIZE;
}

function viewAt(
  { memory }: Kernel["space"],
  physical: number,
  length: number,
): Uint8Array | undefined {
  const at = memory.offsetOf(physical);
  return at < 0 ? undefined : memory.u8.subarray(at, at + length);
}
