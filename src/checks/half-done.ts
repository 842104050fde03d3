import { isMissing } from "../base/errors.ts";
import { Reasons } from "../base/reasons.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Check } from "./check.ts";
import { MAX_REASONS } from "./look.ts";
import type { Look } from "./look.ts";

/** What the kernel may be in the middle of, by the ids of the findings that it would explain. */
export function halfDone(
  kernel: Kernel,
  check: Check,
  { findings }: Look,
): ReadonlyMap<string, string> {
  const why = new Map<string, string>();
  if (check.halfDone === undefined || findings.length === 0) return why;
  try {
    const doing = check.halfDone(kernel);
    for (const finding of findings) {
      const told = doing(finding);
      if (told !== undefined) why.set(finding.id, told);
    }
  } catch (error) {
    // What this kernel does not have explains nothing.
    if (!isMissing(error)) throw error;
  }
  return why;
}

/** Of a guest that stands still: what it is in the middle of is said, and nothing of it found. */
export function withoutHalfDone(kernel: Kernel, check: Check, look: Look): Look {
  const why = halfDone(kernel, check, look);
  if (why.size === 0) return look;
  const reasons = new Reasons(MAX_REASONS);
  if (look.result.reason !== undefined) reasons.add(look.result.reason);
  for (const { id, title } of look.findings) {
    const doing = why.get(id);
    if (doing !== undefined) reasons.add(`${title} But the guest stands still, and ${doing}`);
  }
  return {
    findings: look.findings.filter(({ id }) => !why.has(id)),
    result: { ...look.result, reason: reasons.all.join("; ") },
  };
}
