import { createHash } from "node:crypto";

/** How bad it is if it is true. */
export type Severity = "info" | "low" | "medium" | "high" | "critical";

/** How sure the check is that it is true: `low` is a hint, `high` has no innocent explanation left. */
export type Confidence = "low" | "medium" | "high";

/** JSON values; addresses as `"0xffff…"`. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

export type Finding = {
  /** Stable: the same cause on the same guest has the same id in every sweep. */
  readonly id: string;
  /** Id of the check that found it; docs/findings/CHECK.md explains it. */
  readonly check: string;
  readonly severity: Severity;
  readonly confidence: Confidence;
  /** One sentence for an operator. */
  readonly title: string;
  /** MITRE ATT&CK technique ids. */
  readonly attack: readonly string[];
  /** What it is about: `{ syscall: 0, table: "sys_call_table" }`. Decides the id. */
  readonly subject: Readonly<Record<string, Json>>;
  /** What was expected and seen, where, and whose it is. */
  readonly evidence: Readonly<Record<string, Json>>;
};

/** What a detector says; the check's id, its techniques and the finding's id are added to it. */
export type Report = Omit<Finding, "id" | "check" | "attack"> & {
  readonly attack?: readonly string[];
};

/** The id of a finding: its check and a hash of its subject, whatever the order of its fields. */
export function findingId(check: string, subject: Finding["subject"]): string {
  const fields = Object.keys(subject)
    .toSorted()
    .map((key) => [key, subject[key]]);
  const hash = createHash("sha256")
    .update(JSON.stringify([check, fields]))
    .digest("hex");
  return `${check}-${hash.slice(0, 12)}`;
}
