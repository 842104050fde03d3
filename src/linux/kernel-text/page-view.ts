import type { GuestVirtual } from "../../base/address.ts";
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
  const at = space.memory.offsetOf(space.physical(page));
  return at < 0 ? undefined : space.memory.u8.subarray(at, at + length);
}
