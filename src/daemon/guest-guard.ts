import { closeSync, openSync } from "node:fs";
import type { Sweep } from "../checks/sweep.ts";
import { matches } from "../policy/decide.ts";
import { locateRam } from "../vm/ram-location.ts";
import { qemuProcess } from "../vm/qemu-process.ts";
import { allowFor } from "./allow-for.ts";
import type { GuardContext } from "./guard-context.ts";
import { stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { GuestCoverage } from "./guest-coverage.ts";
import { tellEnd } from "./guest-end.ts";
import { GuestHealth, stateResult } from "./guest-health.ts";
import { GuestTriage } from "./guest-triage.ts";
import { MonitorWatch } from "./monitor-watch.ts";
import { approvalOf, awaiting, dueReactions } from "./approvals.ts";
import { carryOut } from "./reactor.ts";
import type { RecordedDecision } from "./recall.ts";
import { ScannerProcess } from "./scanner-process.ts";
import type { ScanResult } from "./scanner-process.ts";
import type { LookOrder } from "./scanner.ts";
import { StartupPatience } from "./startup-patience.ts";
import { scheduleOf, waitAfter } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import { pauseUntil } from "./pause.ts";

/** What a look says that came upon another boot than it knew. */
const ANOTHER_BOOT: ReadonlySet<string> = new Set(["KVMSEC_KERNEL_GONE", "KVMSEC_GUEST_REBOOTED"]);
/** A finding that only one sweep saw is looked for again so soon. */
const CONFIRM_MS = 1000;
/** A scanner that has longer to wait gives its memory back: it is soon started again. */
const REST_MS = 120_000;

/** The guard of one run of one guest: its domain manager. */
export class GuestGuard implements Disposable {
  readonly guest: GuardedGuest;
  readonly #context: GuardContext;
  readonly #scanner: ScannerProcess;
  readonly #triage: GuestTriage;
  readonly #coverage: GuestCoverage;
  readonly #monitor: MonitorWatch | undefined;
  readonly #health: GuestHealth;
  readonly #patience: StartupPatience;
  /** The RAM's file, held open: it outlives a QEMU that dies, and what was in it is evidence. */
  readonly #ram: number | undefined;
  #cpuMs = 0;
  /** It boots anew, and no look has understood it since. */
  #boots = false;

  constructor(context: GuardContext, guest: GuardedGuest) {
    this.#context = context;
    this.guest = guest;
    this.#triage = new GuestTriage(context, guest);
    this.#coverage = new GuestCoverage(context, guest);
    const { pid, startTime } = guest.identity;
    this.#scanner = new ScannerProcess({ pid, startTime, kernelFile: guest.kernelFile ?? null });
    this.#health = new GuestHealth(context.config.hang);
    this.#patience = new StartupPatience(guest.identity);
    this.#ram = guest.vm === undefined ? undefined : openRam(pid);
    const { monitor } = guest;
    // After a reset another kernel boots, maybe elsewhere: what is known of this one means nothing.
    this.#monitor =
      monitor === undefined ? undefined : new MonitorWatch(monitor, () => this.#rebooted());
  }

  /** How many findings are open. */
  get open(): number {
    return this.#triage.open.length;
  }

  /** The last look failed, or some check of it did not run to its end. */
  get blind(): boolean {
    return this.#coverage.blind;
  }

  /** Sweeps, decides and reacts until the guest has ended or the signal comes; `once`: one time. */
  async run(signal: AbortSignal, once: boolean): Promise<void> {
    const stop = (): void => this.#scanner.reset();
    signal.addEventListener("abort", stop);
    try {
      await this.#resume();
      while (!signal.aborted && this.#isThere()) {
        const schedule = this.#schedule();
        const order = this.#order(schedule);
        const { turns } = this.#context;
        const result = await turns.take(() => this.#scanner.look(order, schedule.sweepLimit));
        if (signal.aborted || !stillRuns(this.guest)) return;
        await this.#take(result);
        if (once) return;
        const waitMs = this.#waitMs(schedule);
        if (waitMs > REST_MS) this.#scanner.reset();
        await pauseUntil(waitMs, signal, () => !this.#isThere() || this.#isCalled());
        await this.#resume();
      }
    } finally {
      this.#coverage.tellCount(true);
      signal.removeEventListener("abort", stop);
    }
  }

  /** Whether it still runs; listens at its monitor from the first moment that one can. */
  #isThere(): boolean {
    void this.#monitor?.keepUp();
    return stillRuns(this.guest);
  }

  /** How the guest ended, put on record; whatever was not ordered is an alert, and its remains are kept. */
  tellEnd(): Promise<void> {
    return tellEnd(this.#context, this.guest, this.#monitor, this.#ram);
  }

  [Symbol.dispose](): void {
    this.#scanner[Symbol.dispose]();
    this.#monitor?.[Symbol.dispose]();
    if (this.#ram !== undefined) closeSync(this.#ram);
  }

  /** Its QEMU told it, or a look came upon another boot: told once, whoever noticed first. */
  #rebooted(): void {
    this.#scanner.reset();
    this.#patience.rebooted();
    if (this.#boots) return;
    this.#boots = true;
    this.#context.tell("guest-state", this.guest, { run: this.guest.run, state: "rebooted" });
  }

  #schedule(): Schedule {
    return scheduleOf(this.#context.config, this.guest.name);
  }

  #order({ budget, interval, seldom }: Schedule): LookOrder {
    const { liveness, allow } = this.#context.config;
    const must = this.#triage.unsure.map(({ check }) => check);
    return {
      liveness: liveness.filter((rule) => matches(rule.guests, this.guest.name)),
      allow: allowFor(allow, this.guest.name),
      turn: { must, budgetMs: budget * interval, seldomMs: seldom },
    };
  }

  /** What an earlier guard decided and did not live to do, and what a person has approved since. */
  async #resume(): Promise<void> {
    for (const record of this.#records()) {
      if (!stillRuns(this.guest)) return;
      this.#tellExpired(record);
      await carryOut(this.#context, this.guest, record);
    }
  }

  #records(): RecordedDecision[] {
    const { decisions } = this.#context.recall;
    return decisions.filter(({ decision }) => decision.run === this.guest.run);
  }

  /** Whether a person has approved something that is not done yet. */
  #isCalled(): boolean {
    return this.#records().some((record) =>
      dueReactions(record).some((reaction) => !record.settled.has(reaction)),
    );
  }

  #tellExpired(record: RecordedDecision): void {
    const { approvalExpiry } = this.#context.config;
    const expired = approvalOf(record, approvalExpiry, new Date()) === "expired";
    if (!expired || record.verdict.given !== undefined) return;
    const facts = { run: this.guest.run, decision: record.number, reactions: awaiting(record) };
    this.#context.tell("approval-expired", this.guest, facts);
  }

  async #take(result: ScanResult): Promise<void> {
    const at = new Date();
    const status = await this.#monitor?.status();
    const tick = result.ok ? result.tick : Number.NaN;
    const { changed, finding } = this.#health.judge({ at, status, tick });
    if (changed !== undefined) {
      this.#context.tell("guest-state", this.guest, { run: this.guest.run, state: changed });
    }
    const seen = this.#seenBy(result, at);
    const state = status === undefined ? [] : [stateResult(finding)];
    this.#triage.take({
      ...seen,
      checks: [...seen.checks, ...state],
      findings: [...seen.findings, ...(finding === undefined ? [] : [finding])],
    });
    for (const record of this.#triage.decide()) {
      await carryOut(this.#context, this.guest, record);
    }
  }

  /** What counts of a look; one that failed has seen nothing. */
  #seenBy(result: ScanResult, at: Date): Sweep {
    if (!result.ok) {
      if (ANOTHER_BOOT.has(result.code)) this.#rebooted();
      this.#coverage.failed(result, this.#scanner.backOffMs);
      return { ...NOTHING, startedAt: at };
    }
    this.#boots = false;
    this.#cpuMs = result.cpuMs;
    const seen = this.#patience.take(result.sweep, this.#context.config.liveness);
    this.#coverage.swept(seen, result.cpuMs, result.release);
    return seen;
  }

  #waitMs(schedule: Schedule): number {
    const { backOffMs } = this.#scanner;
    if (backOffMs > 0) return backOffMs;
    if (this.#triage.unsure.length > 0) return Math.min(CONFIRM_MS, schedule.interval);
    return waitAfter(schedule, this.#cpuMs);
  }
}

/** A look that came to nothing. */
const NOTHING = { durationMs: 0, checks: [], findings: [], allowed: [] } as const;

function openRam(pid: number): number | undefined {
  try {
    const qemu = qemuProcess(pid);
    const path = qemu === undefined ? undefined : locateRam(qemu).path;
    return path === undefined ? undefined : openSync(path, "r");
  } catch {
    return undefined;
  }
}
