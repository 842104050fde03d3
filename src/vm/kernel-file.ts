import { readFileSync, statSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { decompressKernel, parseBzImage } from "../formats/bzimage.ts";
import { prepareKernelFile } from "../linux/kernel-text/kernel-file.ts";
import { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { Guest } from "./guest.ts";

/** No kernel is larger; Debian's is 10 MB packed and 62 MB unpacked. */
const MAX_FILE = 512 * 2 ** 20;

/** The comparison with a kernel file, or why there is none. */
export type TextSource =
  | { readonly text: TextIntegrity; readonly path: string }
  | { readonly textMissing: string };

/**
 * Finds the file that a guest's kernel was booted from: the one named by the user, else the one
 * that QEMU was given with `-kernel`. Only a file of the guest's own build id is taken.
 */
export function findKernelText(guest: Guest, given?: string): TextSource {
  const candidates = given === undefined ? likelyFiles(guest) : [given];
  const reasons: string[] = [];
  for (const path of candidates) {
    const unpacked = unpackKernelFile(path);
    if (typeof unpacked === "string") {
      reasons.push(`${path}: ${unpacked}`);
      continue;
    }
    const prepared = prepareKernelFile(guest.kernel, unpacked);
    if (prepared.ok) return { text: new TextIntegrity(guest.kernel, prepared.file), path };
    reasons.push(`${path}: ${prepared.reason}`);
  }
  if (given !== undefined) throw unfit(reasons.join("; "));
  const looked = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  return { textMissing: `no kernel file of this guest was found${looked}: give --kernel-file` };
}

/** Files that may hold the guest's kernel, the likeliest first. */
function likelyFiles({ target }: Guest): string[] {
  if (target.kind === "file") return [];
  const { pid, arguments: args } = target.qemu;
  // As QEMU itself sees the path: from its own root and working folder.
  const place = args.kernel?.startsWith("/") === true ? "root" : "cwd";
  return args.kernel === undefined ? [] : [`/proc/${pid}/${place}/${args.kernel}`];
}

/** A boot image or ELF kernel, unpacked; or why it is none. */
function unpackKernelFile(path: string): Uint8Array | string {
  let bytes: Buffer;
  try {
    if (statSync(path).size > MAX_FILE) return "it is too large for a kernel";
    bytes = readFileSync(path);
  } catch (error) {
    return systemCode(error) ?? String(error);
  }
  if (bytes.subarray(1, 4).equals(Buffer.from("ELF"))) return bytes;
  const boot = parseBzImage(bytes);
  if (!boot.ok) return boot.reason;
  const unpacked = decompressKernel(boot.image);
  return unpacked.ok ? unpacked.vmlinux : unpacked.reason;
}

function unfit(reason: string): KvmsecError {
  return new KvmsecError("KVMSEC_KERNEL_FILE_UNFIT", `The kernel file cannot be used: ${reason}.`, {
    hint: "Give the vmlinuz (or vmlinux) that this very guest booted; kvmsec info shows its build id.",
    exit: 2,
  });
}
