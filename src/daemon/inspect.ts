import { checks } from "../checks/registry.ts";
import { sweep } from "../checks/sweep.ts";
import type { Sweep } from "../checks/sweep.ts";
import { KvmsecError } from "../base/errors.ts";
import type { Inspection } from "../response/inspection.ts";
import type { Guest } from "../vm/guest.ts";
import { findKernelText } from "../vm/kernel-file.ts";
import type { TextSource } from "../vm/kernel-file.ts";

/** The check without which nothing can be called clean. */
const INDISPENSABLE = "kernel-text";

/**
 * One sweep of all checks. Clean is only what was looked at: no finding, no check that failed to
 * run, and the kernel's text compared with its file. A check that has no object in this kernel
 * (`skipped`) does not stand against it.
 */
export function inspect(guest: Guest, kernelFile?: string): Inspection {
  return inspectWith(guest, textOf(guest, kernelFile));
}

/** The same, for one who looks again and again and keeps what was learned of the kernel's file. */
export function inspectWith(guest: Guest, text: TextSource): Inspection {
  const result = sweep(guest.kernel, checks, text);
  guest.requireAlive();
  const titles = result.findings.map(({ title }) => title);
  const reasons = titles.length > 0 ? titles : unseen(result);
  const verdict = titles.length > 0 ? "tampered" : reasons.length > 0 ? "unsure" : "clean";
  return { verdict, reasons, document: { ...result } };
}

/** The comparison with the kernel's file. One that does not fit is as good as none. */
export function textOf(guest: Guest, kernelFile?: string): TextSource {
  try {
    return findKernelText(guest, kernelFile);
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    return { textMissing: error.message };
  }
}

function unseen({ checks: results }: Sweep): string[] {
  return results
    .filter(({ id, status }) => status === "error" || (id === INDISPENSABLE && status !== "pass"))
    .map(({ id, reason }) => `${id}: ${reason ?? "did not run"}`);
}
