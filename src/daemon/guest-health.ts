import { findingId } from "../checks/finding.ts";
import type { Finding, Severity } from "../checks/finding.ts";
import type { CheckResult } from "../checks/look.ts";

/** The id under which a guest's own state speaks beside the checks. */
export const GUEST_STATE = "guest-state";

/** What is known of how a guest goes, at one moment. */
export type Pulse = {
  readonly at: Date;
  /** QEMU's word for it; `silent` where its monitor gives no answer, undefined where nobody can ask. */
  readonly status: string | undefined;
  /** The guest's clock tick (jiffies), NaN where it could not be read. */
  readonly tick: number;
};

type Bad = { readonly title: string; readonly severity: Severity };

/** States that no operator asks for (QEMU qapi/run-state.json, RunState). */
const bad: Readonly<Record<string, Bad>> = {
  "guest-panicked": { title: "The guest's kernel has panicked", severity: "high" },
  "internal-error": { title: "QEMU stopped the guest for an error of its own", severity: "high" },
  "io-error": { title: "QEMU stopped the guest because its disk failed", severity: "medium" },
  watchdog: { title: "The guest's watchdog has run out", severity: "high" },
  silent: { title: "QEMU's monitor gives no answer", severity: "medium" },
  hung: { title: "The guest runs, and its clock stands still", severity: "high" },
};

/** A monitor that was silent once may only have been busy. */
const SILENT_TIMES = 3;

/** Judges a guest by its pulse: whether it runs, stands, hangs or has panicked. */
export class GuestHealth {
  readonly #hangMs: number;
  #tick = Number.NaN;
  #moved: Date | undefined;
  #silent = 0;
  #state: string | undefined;

  constructor(hangMs: number) {
    this.#hangMs = hangMs;
  }

  /** The state that it was in when it was last judged. */
  get state(): string | undefined {
    return this.#state;
  }

  /** Takes the next pulse. `changed`: the state where it is another than before. */
  judge(pulse: Pulse): { changed: string | undefined; finding: Finding | undefined } {
    const before = this.#state;
    this.#state = this.#stateOf(pulse);
    // That it runs when it is first seen is no news.
    const same = this.#state === before || (before === undefined && this.#state === "running");
    const changed = same ? undefined : this.#state;
    const what = this.#state === undefined ? undefined : bad[this.#state];
    return { changed, finding: what && report(this.#state!, what, pulse) };
  }

  #stateOf({ at, status, tick }: Pulse): string | undefined {
    this.#silent = status === "silent" ? this.#silent + 1 : 0;
    if (status === "silent") return this.#silent >= SILENT_TIMES ? "silent" : this.#state;
    const moved = tick === tick && tick !== this.#tick;
    if (moved || status !== "running") this.#moved = tick === tick ? at : undefined;
    if (tick === tick) this.#tick = tick;
    if (status !== "running") return status;
    const still = this.#moved === undefined ? 0 : +at - +this.#moved;
    return still >= this.#hangMs ? "hung" : "running";
  }
}

function report(state: string, { title, severity }: Bad, { at, tick }: Pulse): Finding {
  const subject = { state };
  return {
    id: findingId(GUEST_STATE, subject),
    check: GUEST_STATE,
    severity,
    confidence: "high",
    title: `${title}.`,
    attack: [],
    subject,
    evidence: { at: at.toISOString(), tick: tick === tick ? tick : null },
  };
}

/** The look at a guest's state, as part of a sweep. */
export function stateResult(finding: Finding | undefined): CheckResult {
  return {
    id: GUEST_STATE,
    status: finding === undefined ? "pass" : "fail",
    findings: finding === undefined ? [] : [finding.id],
    durationMs: 0,
    coverage: { looked: 1, of: 1 },
    reason: undefined,
  };
}
