import { readFileSync } from "node:fs";
import { decompressKernel, parseBzImage } from "../../src/formats/bzimage.ts";
import { parseVmlinux } from "../../src/formats/vmlinux.ts";
import type { Vmlinux } from "../../src/formats/vmlinux.ts";
import { kernel } from "./harness/debian-kernel.ts";
import type { Kernel } from "./harness/debian-kernel.ts";
import { parseKernel } from "./harness/guest-matrix.ts";

export type UnpackedKernel = {
  readonly kernel: Kernel;
  /** The ELF file. */
  readonly bytes: Uint8Array;
  readonly vmlinux: Vmlinux;
};

/** One of each layout of kallsyms and BTF that Debian has; KVMSEC_TEST_KERNELS adds more. */
export const kernelNames: readonly string[] = [
  "bullseye/cloud",
  "bookworm/cloud",
  "trixie/cloud",
  "trixie-backports/cloud",
  ...(process.env["KVMSEC_TEST_KERNELS"] ?? "").split(",").filter((name) => name !== ""),
];

/** A Debian kernel, out of the boot image that its package has. */
export async function unpackedKernel(name: string): Promise<UnpackedKernel> {
  const found = await kernel(parseKernel(name));
  const parsed = parseBzImage(readFileSync(found.vmlinuz));
  if (!parsed.ok) throw new Error(`${found.vmlinuz}: ${parsed.reason}`);
  const unpacked = decompressKernel(parsed.image);
  if (!unpacked.ok) throw new Error(`${found.vmlinuz}: ${unpacked.reason}`);
  const bytes = unpacked.vmlinux;
  const kernelFile = parseVmlinux(bytes);
  if (!kernelFile.ok) throw new Error(`${found.vmlinuz}: ${kernelFile.reason}`);
  return { kernel: found, bytes, vmlinux: kernelFile.vmlinux };
}
