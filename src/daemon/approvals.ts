import type { RecordedDecision } from "./recall.ts";

/** What became of what a person had to approve. */
export type Approval = "pending" | "approved" | "denied" | "expired" | "void";

/** Reactions of a decision that wait for a person's word. */
export function awaiting({
  decision,
}: RecordedDecision): RecordedDecision["decision"]["reactions"] {
  return decision.held
    .filter(({ because }) => because === "approval")
    .map(({ reaction }) => reaction);
}

/** Whether a person's word on a decision still counts, or what it was; undefined where none is asked for. */
export function approvalOf(
  record: RecordedDecision,
  expiry: number,
  now: Date,
): Approval | undefined {
  if (awaiting(record).length === 0) return undefined;
  if (hasFailed(record)) return "void";
  if (record.verdict.given !== undefined) return record.verdict.given;
  return +now - +record.decision.at >= expiry ? "expired" : "pending";
}

/** What a decision has to be followed by: its own reactions, and those that a person let go. */
export function dueReactions(record: RecordedDecision): RecordedDecision["decision"]["reactions"] {
  const approved = record.verdict.given === "approved" && !hasFailed(record);
  return [...record.decision.reactions, ...(approved ? awaiting(record) : [])];
}

/** One of the decision's own reactions failed: nothing is restored of which the evidence was not taken. */
function hasFailed({ decision, settled, done }: RecordedDecision): boolean {
  return decision.reactions.some((reaction) => settled.has(reaction) && !done.has(reaction));
}
