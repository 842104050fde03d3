import type { Kernel } from "../linux/kernel.ts";
import { ProcessorProgress } from "../linux/processor-progress.ts";
import { applyAllowList, moduleBuildIds } from "./allow-list.ts";
import type { AllowedFinding, AllowEntry } from "./allow-list.ts";
import type { Check, CheckStatus } from "./check.ts";
import type { Finding } from "./finding.ts";
import { halfDone, withoutHalfDone } from "./half-done.ts";
import { look } from "./look.ts";
import type { CheckResult, Look } from "./look.ts";
import { SweepFacts } from "./sweep-facts.ts";
import type { HostKnowledge } from "./sweep-facts.ts";

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
      found && (check.isUnsettled?.(kernel) === true || halfDone(kernel, check, last).size > 0);
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

/** Some of it could not be looked at, for a reason that may pass. */
function isPartial({ result }: Look): boolean {
  return result.reason !== undefined && result.status !== "skipped";
}

function verdict(findings: readonly Finding[], { result }: Look): CheckStatus {
  if (findings.length > 0) return "fail";
  return result.reason === undefined ? "pass" : "error";
}
