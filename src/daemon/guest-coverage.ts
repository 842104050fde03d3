import { checks as allChecks } from "../checks/registry.ts";
import type { CheckResult } from "../checks/look.ts";
import type { Sweep } from "../checks/sweep.ts";
import type { GuardContext } from "./guard-context.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import type { ScanResult } from "./scanner-process.ts";
import { SweepCount } from "./sweep-count.ts";

type Failure = ScanResult & { readonly ok: false };

/** How far a guest is seen, over all its sweeps: put on record when it changes, never silently less. */
export class GuestCoverage {
  readonly #context: GuardContext;
  readonly #guest: GuardedGuest;
  readonly #count = new SweepCount();
  /** What each check said last. */
  readonly #last = new Map<string, CheckResult>();
  /** No sweep has come to its end since the last that failed, or at all. */
  #failed = true;
  #told = "";

  constructor(context: GuardContext, guest: GuardedGuest) {
    this.#context = context;
    this.#guest = guest;
  }

  /** The last sweep failed, or some check of it did not run to its end. */
  get blind(): boolean {
    return this.#failed || this.#unseen().length > 0;
  }

  /** A sweep came to its end, at the cost of `cpuMs`; `release`: the kernel that it saw. */
  swept(sweep: Sweep, cpuMs: number, release: string | null): void {
    this.#failed = false;
    this.#count.add(cpuMs, sweep.durationMs);
    this.tellCount(false);
    for (const result of sweep.checks) this.#last.set(result.id, result);
    this.#tell(sweep, release);
  }

  /** A sweep came to nothing; the next one has to wait so long. */
  failed({ crashed, code, message }: Failure, waitMs: number): void {
    this.#failed = true;
    this.#count.addFailed();
    const facts = { run: this.#guest.run, code, message, waitMs };
    if (crashed) this.#context.tell("scanner-ended", this.#guest, facts);
    else if (code !== this.#told) this.#context.tell("sweep-failed", this.#guest, facts);
    this.#told = code;
    this.tellCount(false);
  }

  /** Puts the number of sweeps on record, if it is time. */
  tellCount(atEnd: boolean): void {
    const counted = this.#count.take(atEnd);
    if (counted === undefined) return;
    this.#context.tell("sweeps", this.#guest, { run: this.#guest.run, ...counted });
  }

  #unseen(): CheckResult[] {
    const known = [...this.#last.values()];
    return known.filter(({ status }) => status === "skipped" || status === "error");
  }

  /** What could not be looked at is never silently clean, nor is what is allowed. */
  #tell({ checks, durationMs, allowed }: Sweep, kernel: string | null): void {
    const unseen = this.#unseen().map(({ id, reason }) => ({ id, reason: reason ?? null }));
    // Of a look that left checks out nothing is known about what they allow.
    const waived =
      checks.length < allChecks.length
        ? undefined
        : allowed.map(({ by, finding }) => ({ id: finding.id, by }));
    const key = JSON.stringify([this.#last.size, unseen.map(({ id }) => id), kernel, waived]);
    if (key === this.#told || (waived === undefined && this.#told !== "")) return;
    this.#told = key;
    this.#context.tell("watching", this.#guest, {
      run: this.#guest.run,
      durationMs,
      checks: this.#last.size,
      unseen,
      kernel,
      ...(waived === undefined ? {} : { allowed: waived }),
    });
  }
}
