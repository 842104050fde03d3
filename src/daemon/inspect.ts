import { checks } from "../checks/registry.ts";
import { sweep } from "../checks/sweep.ts";
import { sweepDocument } from "../checks/sweep-document.ts";
import type { CheckResult } from "../checks/look.ts";
import { allowedIfKnown } from "./allow-for.ts";
import { KvmsecError } from "../base/errors.ts";
import type { Inspection } from "../response/inspection.ts";
import type { Guest } from "../vm/guest.ts";
import { findKernelFiles } from "../files/kernel-files.ts";
import type { KernelFiles } from "../files/kernel-files.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import { readProcessors } from "../vm/processors.ts";
import { onRunningKernel } from "../vm/running-kernel.ts";

/** The checks without which nothing can be called clean. */
const DECISIVE: ReadonlySet<string> = new Set([
  "kernel-text",
  "kernel-rodata",
  "kernel-pages",
  "syscall-table",
]);

/**
 * One sweep of all checks. Clean is only what was looked at: no finding, and every decisive check
 * ran to its end. What the others could not see is told as `gaps`.
 */
export async function inspect(
  guest: Guest,
  kernelFile?: string,
  disksOf?: QemuProcess,
): Promise<Inspection> {
  return inspectWith(guest, filesOf(guest, kernelFile, disksOf));
}

/** The same, for one who looks again and again and keeps what was learned of the kernel's file. */
export async function inspectWith(guest: Guest, files: KernelFiles): Promise<Inspection> {
  const processors = await readProcessors(guest);
  const result = await onRunningKernel(guest, () =>
    sweep(guest.kernel, checks, { ...files, ...processors }, allowedIfKnown(guest)),
  );
  const titles = result.findings.map(({ title }) => title);
  const missed = result.checks.filter(({ id, status }) => DECISIVE.has(id) && status !== "pass");
  const reasons = titles.length > 0 ? titles : missed.map(because);
  const verdict = titles.length > 0 ? "tampered" : reasons.length > 0 ? "unsure" : "clean";
  const gaps = result.checks.filter(({ id, status }) => status === "error" && !DECISIVE.has(id));
  return { verdict, reasons, gaps: gaps.map(because), document: sweepDocument(result) };
}

function because({ id, reason }: CheckResult): string {
  return `${id}: ${reason ?? "did not run"}`;
}

/** What is known of its files. A kernel file that does not fit is as good as none: its disk may have it. */
export function filesOf(guest: Guest, kernelFile?: string, disksOf?: QemuProcess): KernelFiles {
  const disks = disksOf === undefined ? {} : { disksOf };
  try {
    return findKernelFiles(guest, { ...disks, ...(kernelFile !== undefined && { kernelFile }) });
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    return findKernelFiles(guest, disks);
  }
}
