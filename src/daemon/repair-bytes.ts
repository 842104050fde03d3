import { codeOwners } from "../checks/code-owners.ts";
import { findingId } from "../checks/finding.ts";
import type { Finding } from "../checks/finding.ts";
import { legalTargets } from "../checks/legal-targets.ts";
import { moduleSources } from "../checks/module-text.ts";
import type { SweepFacts } from "../checks/sweep-facts.ts";
import type { RightCode } from "../linux/kernel-text/right-code.ts";
import type { TextChange } from "../linux/kernel-text/text-integrity.ts";
import type { RepairPart } from "../response/repair.ts";

const NO_FILE = "its kernel file is not known (--kernel-file)";

/** Kernel text: the file's bytes, and what the kernel itself patches in there. */
export function codeParts(facts: SweepFacts, { id }: Finding): RepairPart[] | string {
  const { text } = facts.host;
  const section = text?.section(".text");
  if (text === undefined || section === undefined) return NO_FILE;
  const { targets } = facts.get(legalTargets);
  const changes = text
    .changes(section, targets, () => {})
    .filter(({ address }) => idOf(facts, "kernel-text", "function", address) === id);
  return rightParts(changes, (change) => text.right(change, targets));
}

/** Constant data: the file's bytes. */
export function dataParts(facts: SweepFacts, { id }: Finding): RepairPart[] | string {
  const { text } = facts.host;
  if (text === undefined) return NO_FILE;
  const address = facts.kernel.symbol("__start_rodata");
  const size = facts.kernel.symbol("__end_rodata") - address;
  if (!(size > 0)) return "this kernel does not tell where its constant data lie";
  const found = text
    .dataChanges({ start: address, size })
    .changes.filter((change) => idOf(facts, "kernel-rodata", "place", change.address) === id);
  return found.map(({ address, seen, expected }) => ({
    address,
    seen,
    right: expected,
    code: false,
  }));
}

/** A slot of a system-call table: constant data too. */
export function slotParts(facts: SweepFacts, { subject }: Finding): RepairPart[] | string {
  const { kernel, host } = facts;
  if (host.text === undefined) return NO_FILE;
  const { table, number } = subject as { table: string; number: number };
  const slot = { start: kernel.requireSymbol(table) + number * 8, size: 8 };
  return host.text.dataChanges(slot).changes.map(({ address, seen, expected }) => ({
    address,
    seen,
    right: expected,
    code: false,
  }));
}

/** Code and constant data of a module: its own file's. */
export function moduleParts(facts: SweepFacts, { id, subject }: Finding): RepairPart[] | string {
  const { targets } = facts.get(legalTargets);
  const parts: RepairPart[] = [];
  for (const [{ name }, source] of facts.get(moduleSources)) {
    if ("missing" in source) continue;
    const look = source.text.look(targets);
    const code = look.text.filter(
      ({ address }) => idOf(facts, "module-text", "function", address) === id,
    );
    const right = rightParts(code, (change) => source.text.right(change, targets));
    if (typeof right === "string") return right;
    parts.push(...right);
    if (subject["module"] !== name) continue;
    const place = (change: TextChange): string => facts.get(codeOwners).describe(change.address);
    for (const change of look.rodata.filter((each) => place(each) === subject["place"])) {
      const { address, seen, expected } = change;
      parts.push({ address, seen, right: expected, code: false });
    }
  }
  return parts;
}

function rightParts(
  changes: readonly TextChange[],
  right: (change: TextChange) => RightCode,
): RepairPart[] | string {
  const parts: RepairPart[] = [];
  for (const change of changes) {
    const known = right(change);
    if ("reason" in known) return known.reason;
    parts.push({ address: change.address, seen: change.seen, right: known.bytes, code: true });
  }
  return parts;
}

/** The id that a check gives to a change at that place. */
function idOf(facts: SweepFacts, check: string, field: string, address: number): string {
  return findingId(check, { [field]: facts.get(codeOwners).describe(address) });
}
