import { isMissing, KvmsecError } from "../base/errors.ts";
import { Reasons } from "../base/reasons.ts";
import { builtWithout } from "../linux/features.ts";
import type { Feature } from "../linux/features.ts";
import type { Kernel } from "../linux/kernel.ts";
import { Skipped } from "./check.ts";
import type { Check, CheckContext, CheckStatus } from "./check.ts";
import { findingId } from "./finding.ts";
import type { Finding, Report } from "./finding.ts";
import type { SweepFacts } from "./sweep-facts.ts";

export type Coverage = {
  readonly looked: number;
  readonly of: number;
  /** Why there is nothing to look at, where the kernel was built without it. */
  readonly nothing?: string;
};

export type CheckResult = {
  readonly id: string;
  readonly status: CheckStatus;
  /** Ids of its findings. */
  readonly findings: readonly string[];
  readonly durationMs: number;
  readonly coverage: Coverage;
  /** Why it was skipped, failed to run, or did not see everything. */
  readonly reason: string | undefined;
};

/** What one look of a check found, and how much of what there is it saw. */
export type Look = { readonly result: CheckResult; readonly findings: readonly Finding[] };

/** Lets a check look once. Whatever goes wrong is in the result. */
export function look(check: Check, facts: SweepFacts): Look {
  const recorder = new Recorder(check, facts);
  const status = recorder.run();
  return {
    findings: [...recorder.findings.values()],
    result: {
      id: check.id,
      status,
      findings: [],
      durationMs: 0,
      coverage: recorder.coverage(),
      reason: recorder.reasons.any ? recorder.reasons.all.join("; ") : undefined,
    },
  };
}

/** More of one check are counted, not listed: an intruder could drown the operator in them. */
const MAX_FINDINGS = 256;
export const MAX_REASONS = 8;

class Recorder implements CheckContext {
  readonly kernel: Kernel;
  readonly facts: SweepFacts;
  readonly findings = new Map<string, Finding>();
  readonly reasons = new Reasons(MAX_REASONS);
  #looked = 0;
  #total = 0;
  readonly #nothing: string[] = [];
  readonly #check: Check;

  constructor(check: Check, facts: SweepFacts) {
    this.kernel = facts.kernel;
    this.facts = facts;
    this.#check = check;
  }

  /** Nothing that a guest holds may end a sweep, so even a fault of the check is its own error. */
  run(): CheckStatus {
    try {
      this.#check.run(this);
      return this.findings.size > 0 ? "fail" : "pass";
    } catch (error) {
      if (error instanceof Skipped) return this.#because(error.message, "skipped");
      if (!(error instanceof KvmsecError))
        return this.#because(`fault in the check: ${String(error)}`, "error");
      return this.#because(error.message, isMissing(error) ? "skipped" : "error");
    }
  }

  report(report: Report): void {
    const id = findingId(this.#check.id, report.subject);
    if (this.findings.size >= MAX_FINDINGS && !this.findings.has(id)) {
      this.unseen(`more than ${MAX_FINDINGS} findings; the rest is not listed`);
      return;
    }
    this.findings.set(id, { attack: this.#check.attack, ...report, id, check: this.#check.id });
  }

  cover(looked: number, of = looked): void {
    this.#looked += looked;
    this.#total += of;
  }

  coverage(): Coverage {
    const looked = { looked: this.#looked, of: this.#total };
    return this.#nothing.length === 0 ? looked : { ...looked, nothing: this.#nothing.join("; ") };
  }

  without(feature: Feature): boolean {
    const reason = builtWithout(this.kernel, feature);
    if (reason !== undefined && !this.#nothing.includes(reason)) this.#nothing.push(reason);
    return reason !== undefined;
  }

  unseen(reason: string): void {
    this.reasons.add(reason);
  }

  skip(reason: string): never {
    throw new Skipped(reason);
  }

  #because(reason: string, status: "skipped" | "error"): CheckStatus {
    this.unseen(reason);
    return status;
  }
}
