import { KvmsecError } from "../base/errors.ts";
import { checks } from "../checks/registry.ts";
import type { Finding } from "../checks/finding.ts";
import { sweep } from "../checks/sweep.ts";
import { SweepFacts } from "../checks/sweep-facts.ts";
import type { HostKnowledge } from "../checks/sweep-facts.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { RepairPart, RepairPlan } from "../response/repair.ts";
import { codeParts, dataParts, moduleParts, slotParts } from "./repair-bytes.ts";
import { gateParts, operationsParts } from "./repair-pointers.ts";

/** The stretches to be put right for a finding, or why that cannot be told. */
export type PartsOf = (facts: SweepFacts, finding: Finding) => RepairPart[] | string;

/** What is known of the right bytes, by the check that found the wrong ones. */
const planners: Readonly<Record<string, PartsOf>> = {
  "kernel-text": codeParts,
  "kernel-rodata": dataParts,
  "module-text": moduleParts,
  "syscall-table": slotParts,
  idt: gateParts,
  "operations-tables": operationsParts,
};

/** Checks whose findings can be repaired, where the right bytes are known. */
export const repairable: readonly string[] = Object.keys(planners);

/**
 * Looks for a finding in the guest as it is now, and tells what has to be written to mend it.
 * Throws KVMSEC_FINDING_MISSING, KVMSEC_REPAIR_IMPOSSIBLE.
 */
export function planRepair(kernel: Kernel, host: HostKnowledge, id: string): RepairPlan {
  const check = checks.find(
    (each) => id.startsWith(`${each.id}-`) && id.length === each.id.length + 13,
  );
  const partsOf = check === undefined ? undefined : planners[check.id];
  const find = (): Finding | undefined =>
    check && sweep(kernel, [check], host).findings.find((finding) => finding.id === id);
  const finding = find();
  if (finding === undefined) throw missing(id);
  if (partsOf === undefined) {
    throw unrepairable(id, `what ${finding.check} finds is not mended by writing bytes`);
  }
  const parts = partsOf(new SweepFacts(kernel, host), finding);
  if (typeof parts === "string") throw unrepairable(id, parts);
  if (parts.length === 0) throw missing(id);
  return { finding: id, title: finding.title, parts, stillFound: () => find() !== undefined };
}

function missing(id: string): KvmsecError {
  return new KvmsecError("KVMSEC_FINDING_MISSING", `The guest has no finding ${id} now.`, {
    hint: "kvmsec check TARGET --json lists the findings with their ids.",
    exit: 2,
  });
}

function unrepairable(id: string, why: string): KvmsecError {
  return new KvmsecError("KVMSEC_REPAIR_IMPOSSIBLE", `${id} cannot be repaired soundly: ${why}.`, {
    hint: `Findings of ${repairable.join(", ")} can, where the right bytes are known. kvmsec respond TARGET restore puts a clean guest back.`,
  });
}
