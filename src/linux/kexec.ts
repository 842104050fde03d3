import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { AddressRange } from "./address-ranges.ts";
import type { Kernel } from "./kernel.ts";
import { regionBase } from "./memory-layout.ts";
import { PageFrames } from "./page-frames.ts";

/** Of the code, as much as is compared: variables lie behind it. */
const COMPARED = 64;

/**
 * Whether a page is what a kernel that is just being loaded will be started from: it has no owner
 * until the loading, under `__kexec_lock`, is over, but it begins with the kernel's own code.
 */
export function isKexecCopy({ symbols, space }: Kernel, page: GuestVirtual): boolean {
  if (!(space.u32(symbols.address("__kexec_lock")) > 0)) return false;
  const code = symbols.address("relocate_kernel");
  const offset = code - symbols.address("__relocate_kernel_start");
  if (!(offset >= 0 && offset + COMPARED <= PAGE_SIZE)) return false;
  const own = space.bytes(code, COMPARED);
  const copy = space.bytes(page + offset, COMPARED);
  return own !== undefined && copy !== undefined && Buffer.from(own).equals(copy);
}

/**
 * The page of each kernel that is loaded for kexec or a crash from which it will be started: its
 * copy of relocate_kernel is executable in the direct map from the loading on (machine_kexec_prepare
 * in arch/x86/kernel/machine_kexec_64.c, 6.14).
 */
export function* kexecPages(kernel: Kernel): Generator<AddressRange> {
  const control = kernel.readerOf("kimage", "control_code_page");
  const directMap = regionBase(kernel, "page_offset_base");
  if (control === undefined || directMap !== directMap) return;
  const frames = new PageFrames(kernel);
  for (const name of ["kexec_image", "kexec_crash_image"]) {
    const image = kernel.space.pointer(kernel.symbol(name));
    if (!(image < 0)) continue;
    const start: GuestVirtual = directMap + frames.physical(control(image));
    if (start === start) yield { start, end: start + PAGE_SIZE };
  }
}
