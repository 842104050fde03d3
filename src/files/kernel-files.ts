import type { FindModuleFile } from "../linux/module-file.ts";
import type { Guest } from "../vm/guest.ts";
import { findKernelText } from "../vm/kernel-file.ts";
import type { TextSource } from "../vm/kernel-file.ts";
import { HostTree } from "./host-tree.ts";
import { moduleFinder } from "./module-files.ts";

/** Where the user says that the files of a guest's kernel are. */
export type FileOptions = {
  /** The vmlinuz or vmlinux that it booted. */
  readonly kernelFile?: string;
  /** A folder with its modules, as /lib/modules/RELEASE. */
  readonly modulesDir?: string;
};

/** What a sweep may know of the files behind a guest's kernel. */
export type KernelFiles = TextSource & { readonly moduleFile: FindModuleFile };

/**
 * Finds the files that a guest's kernel and its modules were loaded from, by build id. A file that
 * the user named has to fit: throws KVMSEC_KERNEL_FILE_UNFIT.
 */
export function findKernelFiles(guest: Guest, options: FileOptions = {}): KernelFiles {
  const { kernelFile, modulesDir } = options;
  const folders = modulesDir === undefined ? [] : [{ tree: new HostTree(modulesDir), path: "" }];
  return {
    ...findKernelText(guest, kernelFile),
    moduleFile: moduleFinder(folders, "no folder of modules was given (--modules-dir)"),
  };
}
