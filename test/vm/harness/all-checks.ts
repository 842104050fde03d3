import { checks } from "../../../src/checks/registry.ts";
import { sweep } from "../../../src/checks/sweep.ts";
import type { Sweep } from "../../../src/checks/sweep.ts";
import { findKernelFiles } from "../../../src/files/kernel-files.ts";
import type { Guest as Attached } from "../../../src/vm/guest.ts";
import { readProcessors } from "../../../src/vm/processors.ts";
import { moduleFolder } from "./guest-modules.ts";
import type { Guest } from "./guest.ts";

export type Look = () => Promise<Sweep>;

/** All checks, with the files of the kernel and of its modules, and with registers. */
export async function lookWithFiles(guest: Guest, attached: Attached): Promise<Look> {
  const files = findKernelFiles(attached, {
    kernelFile: guest.options.kernel.vmlinuz,
    modulesDir: await moduleFolder(guest.options),
  });
  return async () =>
    sweep(attached.kernel, checks, { ...files, ...(await readProcessors(attached)) });
}

/** All checks, on memory alone: code is judged by its forms then. */
export function lookWithoutFiles(attached: Attached): Look {
  return async () => sweep(attached.kernel, checks);
}
