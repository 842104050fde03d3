import type { AllowedFinding } from "../checks/allow-list.ts";
import type { Finding } from "../checks/finding.ts";
import type { CheckResult } from "../checks/look.ts";
import type { Sweep } from "../checks/sweep.ts";
import { Helper } from "./helper.ts";
import type { LookOrder, ScannerOrder } from "./scanner.ts";

/** A sweep on its way from the scanner. */
export type SweepAnswer = {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly checks: readonly CheckResult[];
  /** Time of a processor that the look has taken. */
  readonly cpuMs: number;
  /** The guest's clock tick; null where it could not be read. */
  readonly tick: number | null;
  readonly findings: readonly Finding[];
  readonly allowed: readonly AllowedFinding[];
  /** The kernel's banner. */
  readonly release: string | null;
};

export type ScannerAnswer =
  | ({ readonly ok: true } & SweepAnswer)
  | { readonly ok: false; readonly code: string; readonly message: string };

/** A sweep, or why there is none. `crashed`: the scanner itself ended. */
export type ScanResult =
  | {
      readonly ok: true;
      readonly sweep: Sweep;
      readonly cpuMs: number;
      readonly tick: number;
      readonly release: string | null;
    }
  | {
      readonly ok: false;
      readonly crashed: boolean;
      readonly code: string;
      readonly message: string;
    };

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;

/** The guard's end of a scanner: starts it when it is needed, again after it ended. */
export class ScannerProcess implements Disposable {
  readonly #order: ScannerOrder;
  #helper: Helper | undefined;
  #failures = 0;

  constructor(order: ScannerOrder) {
    this.#order = order;
  }

  get pid(): number | undefined {
    return this.#helper?.pid;
  }

  /** How long to wait before the next try; 0 while all goes well. Doubles with each failure in a row. */
  get backOffMs(): number {
    if (this.#failures === 0) return 0;
    return Math.min(FIRST_WAIT_MS * 2 ** (this.#failures - 1), LONGEST_WAIT_MS);
  }

  /** One sweep. Never rejects. A scanner that failed, or takes longer than the limit, is ended, so that the next begins afresh. */
  async look(asked: LookOrder, limitMs: number): Promise<ScanResult> {
    const helper = (this.#helper ??= new Helper("scanner", this.#order));
    const reply = await helper.ask<ScannerAnswer>(asked, limitMs);
    if (this.#helper !== helper) {
      // It was `reset` that ended it.
      return this.#failed(false, "KVMSEC_GUEST_REBOOTED", "The guest boots anew.");
    }
    if (reply.ended !== undefined) {
      return this.#failed(true, "KVMSEC_SCANNER_ENDED", reply.ended);
    }
    const { answer } = reply;
    if (!answer.ok) return this.#failed(false, answer.code, answer.message);
    this.#failures = 0;
    const { startedAt, durationMs, checks, findings, allowed, cpuMs, tick, release } = answer;
    const sweep = { startedAt: new Date(startedAt), durationMs, checks, findings, allowed };
    return { ok: true, sweep, cpuMs, tick: tick ?? Number.NaN, release };
  }

  /** Begins afresh: the guest boots anew. */
  reset(): void {
    this.#helper?.[Symbol.dispose]();
    this.#helper = undefined;
  }

  [Symbol.dispose](): void {
    this.reset();
  }

  #failed(crashed: boolean, code: string, message: string): ScanResult {
    this.#failures++;
    this.reset();
    return { ok: false, crashed, code, message };
  }
}
