import { isMissing, KvmsecError } from "../base/errors.ts";
import { Reasons } from "../base/reasons.ts";
import { builtWithout } from "../linux/features.ts";
import type { Feature } from "../linux/features.ts";
import type { Kernel } from "../linux/kernel.ts";
import { ProcessorProgress } from "../linux/processor-progress.ts";
import { applyAllowList, moduleBuildIds } from "./allow-list.ts";
import type { AllowedFinding, AllowEntry } from "./allow-list.ts";
import { Skipped } from "./check.ts";
import type { Check, CheckContext, CheckStatus } from "./check.ts";
import { findingId } from "./finding.ts";
import type { Finding, Report } from "./finding.ts";
import { SweepFacts } from "./sweep-facts.ts";
import type { HostKnowledge } from "./sweep-facts.ts";

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

export type Sweep = {
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly checks: readonly CheckResult[];
  readonly findings: readonly Finding[];
  /** Findings that the configuration allows: they are no reason to react, and never left out. */
  readonly allowed: readonly AllowedFinding[];
};

/** Looks that have to agree before a finding is believed: the guest runs, and a race is no finding. */
const LOOKS = 3;
/** Milliseconds between looks at a guest that may be running. */
const PAUSE = 10;
const UNSETTLED_PAUSE = 40;
/** How long in all one sweep waits for a guest that is in the middle of something, in milliseconds. */
const PATIENCE = 2000;
/** Of that, for processors that the host does not let run, be it that the guest is paused. */
const STANDING_PATIENCE = 500;

/** Runs checks over a guest, once each, and looks again at whatever seems wrong. */
export function sweep(
  kernel: Kernel,
  checks: readonly Check[],
  host: HostKnowledge = {},
  allow: readonly AllowEntry[] = [],
): Sweep {
  const startedAt = new Date();
  const start = performance.now();
  kernel.refresh();
  const facts = new SweepFacts(kernel, host);
  const { live } = kernel.memory;
  const patience = {
    busy: new Patience(live ? PATIENCE : 0),
    standing: new Patience(live ? STANDING_PATIENCE : 0),
  };
  const looks = checks.map((check) => lookUntilSure(kernel, check, facts, patience));
  const seen: Sweep = {
    startedAt,
    durationMs: performance.now() - start,
    checks: looks.map(({ result }) => result),
    findings: looks.flatMap(({ findings }) => findings),
    allowed: [],
  };
  return applyAllowList(seen, kernel, allow, () => moduleBuildIds(kernel));
}

type Look = { readonly result: CheckResult; readonly findings: readonly Finding[] };

/** Waits for the guest, but not for ever. */
class Patience {
  #left: number;

  constructor(milliseconds: number) {
    this.#left = milliseconds;
  }

  /** False where no patience is left. */
  wait(milliseconds: number): boolean {
    if (this.#left < milliseconds) return false;
    this.#left -= milliseconds;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    return true;
  }
}

/** For what the guest itself is busy with, and for the host that does not let it run. */
type Patiences = { readonly busy: Patience; readonly standing: Patience };

/**
 * Keeps what every look finds; where nothing was found but not everything seen, looks again too: a
 * module that is just unloaded is gone at the next look. Each look reads the guest afresh, and
 * between the first and the last of those that find something the guest has to have got on.
 */
function lookUntilSure(kernel: Kernel, check: Check, facts: SweepFacts, patience: Patiences): Look {
  const start = performance.now();
  let last = look(check, facts);
  let believed = last.findings;
  let agreeing = 1;
  let progress: ProcessorProgress | undefined;
  for (let looks = 1; ; looks++) {
    const found = believed.length > 0;
    if (!found && (looks >= LOOKS || !isPartial(last))) break;
    progress = found ? (progress ?? new ProcessorProgress(kernel)) : undefined;
    const agreed = found && agreeing >= LOOKS;
    const unsettled =
      found && (check.isUnsettled?.(kernel) === true || isHalf(kernel, check, last));
    const standing = agreed && !unsettled && progress?.moved() === false;
    if (agreed && !unsettled && !standing) break;
    const waited = standing
      ? patience.standing.wait(PAUSE)
      : patience.busy.wait(unsettled ? UNSETTLED_PAUSE : PAUSE);
    if (!waited && (agreed || !found)) break;
    kernel.refresh();
    last = look(check, new SweepFacts(kernel, facts.host));
    const seen = new Set(last.findings.map(({ id }) => id));
    believed = found ? believed.filter(({ id }) => seen.has(id)) : last.findings;
    agreeing = found ? agreeing + 1 : 1;
  }
  const stands = !kernel.memory.live || progress?.stood() === true;
  if (stands && believed.length > 0) last = withoutHalfDone(kernel, check, last);
  const latest = new Map(last.findings.map((finding) => [finding.id, finding]));
  const findings = believed.flatMap(({ id }) => latest.get(id) ?? []);
  const { status } = last.result;
  return {
    findings,
    result: {
      ...last.result,
      status: status === "skipped" || status === "error" ? status : verdict(findings, last),
      findings: findings.map(({ id }) => id),
      durationMs: performance.now() - start,
    },
  };
}

function isHalf(kernel: Kernel, { halfDone }: Check, { findings }: Look): boolean {
  return findings.some((finding) => halfDone?.(kernel, finding) !== undefined);
}

/** Of a guest that stands still: what it is in the middle of is said, and nothing of it found. */
function withoutHalfDone(kernel: Kernel, { halfDone }: Check, look: Look): Look {
  if (halfDone === undefined) return look;
  const reasons = new Reasons(MAX_REASONS);
  if (look.result.reason !== undefined) reasons.add(look.result.reason);
  const findings = look.findings.filter((finding) => {
    const doing = halfDone(kernel, finding);
    if (doing !== undefined)
      reasons.add(`${finding.title} But the guest stands still, and ${doing}`);
    return doing === undefined;
  });
  const reason = reasons.any ? reasons.all.join("; ") : undefined;
  return { findings, result: { ...look.result, reason } };
}

/** Some of it could not be looked at, for a reason that may pass. */
function isPartial({ result }: Look): boolean {
  return result.reason !== undefined && result.status !== "skipped";
}

function verdict(findings: readonly Finding[], { result }: Look): CheckStatus {
  if (findings.length > 0) return "fail";
  return result.reason === undefined ? "pass" : "error";
}

function look(check: Check, facts: SweepFacts): Look {
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
const MAX_REASONS = 8;

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
