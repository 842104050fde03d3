import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A shared object that the kernel maps into processes (struct vdso_image, arch/x86/include/asm/vdso.h). */
export type VdsoImage = {
  /** `vdso64`, `vdso32`, `vdsox32`. */
  readonly name: string;
  /** Where struct vdso_image lies. */
  readonly image: GuestVirtual;
  /** Its pages in the kernel's image, which all processes share. */
  readonly data: GuestVirtual;
  /** Whole pages, in bytes. */
  readonly size: number;
  /** Its own table of alternatives, within its pages: boot applied them. */
  readonly alternatives: { readonly start: GuestVirtual; readonly size: number };
};

/** Names of the images: those of 7.2 first, then those of 5.10 to 6.12. */
const IMAGES = [
  { name: "vdso64", symbols: ["vdso64_image", "vdso_image_64"] },
  { name: "vdsox32", symbols: ["vdsox32_image", "vdso_image_x32"] },
  { name: "vdso32", symbols: ["vdso32_image", "vdso_image_32"] },
] as const;
/** Those of today have two pages. */
const MAX_SIZE = 64 * PAGE_SIZE;

/** The images that this kernel has. `problem` is told of one that cannot be. */
export function vdsoImages(kernel: Kernel, problem: (reason: string) => void): VdsoImage[] {
  const data = kernel.reader("vdso_image", "data");
  const size = kernel.reader("vdso_image", "size");
  const alternatives = kernel.reader("vdso_image", "alt");
  const length = kernel.reader("vdso_image", "alt_len");
  return IMAGES.flatMap(({ name, symbols }) => {
    const image = symbols.map((each) => kernel.symbol(each)).find((at) => at === at);
    if (image === undefined) return [];
    const start = data(image);
    const bytes = size(image);
    const whole = bytes > 0 && bytes <= MAX_SIZE && bytes % PAGE_SIZE === 0;
    if (!whole || !(start < 0) || start % PAGE_SIZE !== 0) {
      problem(`the image ${name} does not say where its pages are`);
      return [];
    }
    const table = { start: start + alternatives(image), size: length(image) };
    const inside = table.start + table.size <= start + bytes && table.size >= 0;
    const own = inside ? table : { start, size: 0 };
    return [{ name, image, data: start, size: bytes, alternatives: own }];
  });
}
