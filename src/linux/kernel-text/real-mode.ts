import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import type { CodeFile, Section } from "./code-file.ts";

/** Code for waking processors as it has to stand in the first MiB. */
export type RealModeCode = Section & { readonly expected: Uint8Array };

/** Today's has 20 KiB. */
const MAX_BLOB = 0x2_0000;
const LOW_MEMORY = 0x10_0000;
const MAX_RELOCATIONS = 1024;
/** Of struct real_mode_header (arch/x86/include/asm/realmode.h): what is read-only ends there. */
const RO_END = 4;

/**
 * The read-only part of the real-mode code, moved as boot moved it (setup_real_mode in
 * arch/x86/realmode/init.c). Undefined where this kernel was given no room for it, or the file does
 * not have it.
 */
export function realModeCode(kernel: Kernel, file: CodeFile): RealModeCode | undefined {
  const start = kernel.space.pointer(kernel.symbol("real_mode_header"));
  const base = kernel.space.physical(start);
  const blob = kernel.symbol("real_mode_blob");
  const size = kernel.symbol("real_mode_blob_end") - blob;
  if (!(base >= 0 && base < LOW_MEMORY && size > 0 && size <= MAX_BLOB)) return undefined;
  const original = file.bytes(blob, size);
  if (original === undefined) return undefined;
  const bytes = Uint8Array.from(original);
  const view = new DataView(bytes.buffer);
  // The header's own fields are moved too: until then they are distances.
  const end = view.getUint32(RO_END, true);
  if (!relocate(view, file, kernel.symbol("real_mode_relocs"), base)) return undefined;
  return end <= size ? { start, size: end, expected: bytes.subarray(0, end) } : undefined;
}

/** Two lists of places, each behind its length: segments, and 32-bit addresses. */
function relocate(view: DataView, file: CodeFile, list: GuestVirtual, base: number): boolean {
  let next = list;
  const places = function* (size: number): Generator<number> {
    const count = Math.min(file.i32(next), MAX_RELOCATIONS);
    next += 4;
    for (let index = 0; index < count; index++, next += 4) {
      const place = file.i32(next);
      if (place >= 0 && place + size <= view.byteLength) yield place;
    }
  };
  for (const place of places(2)) view.setUint16(place, base / 16, true);
  for (const place of places(4)) view.setUint32(place, view.getUint32(place, true) + base, true);
  return Number.isFinite(file.i32(list));
}
