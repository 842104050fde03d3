import { join } from "node:path";
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import type { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { FindFilesOnDisk } from "../linux/file-on-disk.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { FindModuleFile } from "../linux/module-file.ts";
import type { Guest } from "../vm/guest.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import { CodeOnDisk } from "./code-on-disk.ts";
import { DiskSources } from "./disk-sources.ts";
import { NO_FILE } from "./file-tree.ts";
import type { FileTree } from "./file-tree.ts";
import { MAX_GUEST_KERNEL, MAX_KERNEL_FILE, kernelPaths, kernelText } from "./kernel-image.ts";
import { ModuleFinder } from "./module-files.ts";

/** Where the user says that the files of a guest's kernel are. */
export type FileOptions = {
  /** The vmlinuz or vmlinux that it booted. */
  readonly kernelFile?: string;
  /** A folder with its modules, as /lib/modules/RELEASE. */
  readonly modulesDir?: string;
  /** Image files with its disks, beside those that its QEMU has open. */
  readonly disk?: readonly string[];
  /** Of a dump: the QEMU that still has the guest's disks open. */
  readonly disksOf?: QemuProcess;
};

/** What a sweep may know of the files behind a guest's kernel. */
export type KernelFiles = {
  readonly moduleFile: FindModuleFile;
  readonly filesOnDisk: FindFilesOnDisk;
} & TextFound;

type TextFound =
  | { readonly text: TextIntegrity; readonly textFile: TextFile }
  | { readonly textMissing: string };

/** The file that the kernel's text is compared with. */
export type TextFile = {
  /** Where it was found, for people. */
  readonly from: string;
  /** Of the file as it lies there, to be held against the distribution's. */
  readonly sha256: string;
};

/** Reasons that are told; a disk may be full of kernels of other guests. */
const MAX_REASONS = 4;

/**
 * Finds the files that a guest's kernel and its modules were loaded from: what the user named, the
 * file that QEMU was given with `-kernel`, the guest's disks, and what of them is in its page cache.
 * Only files of the right build id are taken. What the user named has to fit: throws
 * KVMSEC_KERNEL_FILE_UNFIT.
 */
export function findKernelFiles(guest: Guest, options: FileOptions = {}): KernelFiles {
  const sources = new DiskSources(guest, options);
  const finder = new ModuleFinder(sources);
  const text = findText(guest, options.kernelFile, sources);
  const code = new CodeOnDisk(sources);
  return {
    ...text,
    moduleFile: (name, buildId) => finder.find(name, buildId),
    filesOnDisk: (files) => code.find(files),
  };
}

function findText(guest: Guest, given: string | undefined, sources: DiskSources): TextFound {
  const reasons: string[] = [];
  for (const path of given === undefined ? bootedWith(guest) : [given]) {
    const bytes = readHostFile(path);
    const found =
      typeof bytes === "string" ? { missing: bytes } : compared(guest.kernel, bytes, path);
    if ("text" in found) return found;
    reasons.push(`${path}: ${found.missing}`);
  }
  if (given !== undefined) throw unfit(reasons.join("; "));
  for (const tree of sources.trees((problem) => reasons.push(problem))) {
    const found = findInTree(guest, tree);
    if ("text" in found) return found;
    reasons.push(`${tree.name}: ${found.missing}`);
  }
  const told = reasons.slice(0, MAX_REASONS).join("; ");
  const more = reasons.length > MAX_REASONS ? `; and ${reasons.length - MAX_REASONS} more` : "";
  const looked = reasons.length === 0 ? "" : ` (${told}${more})`;
  return { textMissing: `no kernel file of this guest was found${looked}: give --kernel-file` };
}

type Compared =
  | { readonly text: TextIntegrity; readonly textFile: TextFile }
  | { readonly missing: string };

function compared(kernel: Kernel, file: Uint8Array, from: string): Compared {
  const found = kernelText(kernel, file);
  if ("missing" in found) return found;
  const sha256 = createHash("sha256").update(file).digest("hex");
  return { text: found.text, textFile: { from, sha256 } };
}

function findInTree({ kernel }: Guest, tree: FileTree): Compared {
  const reasons: string[] = [];
  for (const path of kernelPaths(tree, kernel.identity.release)) {
    const file = tree.read(path, MAX_GUEST_KERNEL);
    // Most of the places where a kernel may be hold none.
    if ("missing" in file && file.missing === NO_FILE) continue;
    const found = "missing" in file ? file : compared(kernel, file.bytes, `${tree.name}: ${path}`);
    if ("text" in found) return found;
    reasons.push(`${path}: ${found.missing}`);
  }
  return { missing: reasons.length === 0 ? "it holds no kernel" : reasons.join(", ") };
}

/** The file given with `-kernel`, as QEMU itself sees its path: from its own root and working folder. */
function bootedWith({ target }: Guest): string[] {
  if (target.kind === "file") return [];
  const { pid, arguments: args } = target.qemu;
  const place = args.kernel?.startsWith("/") === true ? "root" : "cwd";
  return args.kernel === undefined ? [] : [join(`/proc/${pid}/${place}`, args.kernel)];
}

function readHostFile(path: string): Uint8Array | string {
  try {
    if (statSync(path).size > MAX_KERNEL_FILE) return "it is too large for a kernel";
    return readFileSync(path);
  } catch (error) {
    return systemCode(error) ?? String(error);
  }
}

function unfit(reason: string): KvmsecError {
  return new KvmsecError("KVMSEC_KERNEL_FILE_UNFIT", `The kernel file cannot be used: ${reason}.`, {
    hint: "Give the vmlinuz (or vmlinux) that this very guest booted; kvmsec info shows its build id.",
    exit: 2,
  });
}
