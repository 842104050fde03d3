import { elfSection, parseElf, allElfNotes, gnuBuildId, SegmentType, elfData } from "./elf.ts";
import type { Elf } from "./elf.ts";

/** What can be had from an ELF kernel: the `vmlinux` of a build, or what a boot image unpacks to. */
export type Vmlinux = {
  readonly elf: Elf;
  /** GNU build id in hex; undefined where it was stripped. */
  readonly buildId: string | undefined;
  /** The kernel as it lies in memory before relocation; a copy. */
  readonly image: Uint8Array;
  /** Link address of `image[0]`, signed. */
  readonly imageBase: number;
  /** The .BTF section, a view; undefined where there is none. */
  readonly btf: Uint8Array | undefined;
};

/** Top 2 GiB: where the kernel is linked. Per-CPU segments at 0 (before 6.15) are left out. */
const IMAGE_FLOOR = -(2 ** 31);
const MAX_IMAGE = 256 * 1024 * 1024;

/** Reads a kernel's ELF file and lays its segments out. */
export function parseVmlinux(
  bytes: Uint8Array,
): { ok: true; vmlinux: Vmlinux } | { ok: false; reason: string } {
  const parsed = parseElf(bytes);
  if (!parsed.ok) return parsed;
  const { elf } = parsed;
  const laidOut = layOut(bytes, elf);
  if (typeof laidOut === "string") return { ok: false, reason: laidOut };
  const btf = elfSection(bytes, elf, ".BTF");
  const buildId = gnuBuildId(allElfNotes(bytes, elf));
  return { ok: true, vmlinux: { elf, buildId, btf, ...laidOut } };
}

function layOut(bytes: Uint8Array, elf: Elf): Pick<Vmlinux, "image" | "imageBase"> | string {
  const loads = elf.segments.flatMap((segment) => {
    const start = Number(BigInt.asIntN(64, segment.virtualAddress));
    const data = elfData(bytes, segment);
    const inImage = segment.type === SegmentType.LOAD && start >= IMAGE_FLOOR && start < 0;
    return inImage && data !== undefined ? [{ start, data }] : [];
  });
  if (loads.length === 0) return "no segment is linked at a kernel address";
  const imageBase = Math.min(...loads.map(({ start }) => start));
  const size = Math.max(...loads.map(({ start, data }) => start + data.length)) - imageBase;
  if (size > MAX_IMAGE) return `a kernel image of ${size} bytes is too large`;
  const image = new Uint8Array(size);
  for (const { start, data } of loads) image.set(data, start - imageBase);
  return { image, imageBase };
}
