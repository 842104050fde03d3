import { decompressKernel, parseBzImage } from "../formats/bzimage.ts";
import { prepareKernelFile } from "../linux/kernel-text/kernel-file.ts";
import { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { FileTree } from "./file-tree.ts";
import { PageCacheTree } from "./page-cache-tree.ts";
import { UnpackedCache } from "./unpacked-cache.ts";

/** No kernel is larger; Debian's has 10 MB packed, and 62 MB as an ELF file without debugging symbols. */
export const MAX_KERNEL_FILE = 512 * 2 ** 20;
/** The same on a guest's disk, which may be full of what only looks like one. */
export const MAX_GUEST_KERNEL = 128 * 2 ** 20;
const MAX_KERNELS = 16;

const KERNEL_NAME = /\/(?:vmlinu[xz]|bzImage|kernel)[^/]*$/;

/** The comparison with the kernel file, or why there is none. */
export type TextResult = { readonly text: TextIntegrity } | { readonly missing: string };

/** Compares a boot image or ELF kernel with a guest's kernel: only one of its build id is taken. */
export function kernelText(kernel: Kernel, file: Uint8Array): TextResult {
  const unpacked = unpackKernel(file, kernel.identity.release);
  if (typeof unpacked === "string") return { missing: unpacked };
  const prepared = prepareKernelFile(kernel, unpacked);
  if (!prepared.ok) return { missing: prepared.reason };
  return { text: new TextIntegrity(kernel, prepared.file) };
}

/** An image that says to be of another release is not unpacked: that takes seconds where it is xz. */
function unpackKernel(bytes: Uint8Array, release: string): Uint8Array | string {
  if (Buffer.from(bytes.subarray(1, 4)).equals(Buffer.from("ELF"))) return bytes;
  const boot = parseBzImage(bytes);
  if (!boot.ok) return boot.reason;
  const { version, compression } = boot.image;
  if (version !== "" && version.split(" ")[0] !== release) return `it is ${version.split(" ")[0]}`;
  const unpack = () => {
    const unpacked = decompressKernel(boot.image);
    return unpacked.ok ? unpacked.vmlinux : unpacked.reason;
  };
  return compression === "xz" ? new UnpackedCache().get(bytes, unpack) : unpack();
}

/**
 * Where distributions put the kernel of a release, the likeliest first: in /boot (which may be a
 * file system of its own, or hold names without the release), or beside its modules.
 */
export function* kernelPaths(tree: FileTree, release: string): Generator<string> {
  if (tree instanceof PageCacheTree) {
    yield* tree.paths.filter((path) => KERNEL_NAME.test(path)).slice(0, MAX_KERNELS);
    return;
  }
  const named = [
    `/boot/vmlinuz-${release}`,
    `/vmlinuz-${release}`,
    `/usr/lib/modules/${release}/vmlinuz`,
    `/lib/modules/${release}/vmlinuz`,
  ];
  yield* named;
  for (const folder of ["/boot", ""]) {
    const files = (tree.list(folder === "" ? "/" : folder) ?? []).filter(
      ({ name, folder: isFolder }) => !isFolder && KERNEL_NAME.test(`/${name}`),
    );
    for (const { name } of files.slice(0, MAX_KERNELS)) {
      const path = `${folder}/${name}`;
      if (!named.includes(path)) yield path;
    }
  }
}
