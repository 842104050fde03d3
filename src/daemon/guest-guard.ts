import { closeSync, openSync } from "node:fs";
import { checks as allChecks, sharesOf } from "../checks/registry.ts";
import type { CheckResult, Sweep } from "../checks/sweep.ts";
import { decide, matches } from "../policy/decide.ts";
import type { Sighting } from "../policy/decide.ts";
import { locateRam } from "../vm/ram-location.ts";
import { qemuProcess } from "../vm/qemu-process.ts";
import { allowFor } from "./allow-for.ts";
import { FindingLives } from "./finding-life.ts";
import type { GuardContext } from "./guard-context.ts";
import { stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { tellEnd } from "./guest-end.ts";
import { GuestHealth, stateResult } from "./guest-health.ts";
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
import { SweepCount } from "./sweep-count.ts";
import { pauseUntil } from "./pause.ts";

/** What a look says that came upon another boot than it knew. */
const ANOTHER_BOOT: ReadonlySet<string> = new Set(["KVMSEC_KERNEL_GONE", "KVMSEC_GUEST_REBOOTED"]);
/** Sightings of one finding that are kept. */
const KEPT_SIGHTINGS = 1000;
/** A finding that only one sweep saw is looked for again so soon. */
const CONFIRM_MS = 1000;
/** A scanner that has longer to wait gives its memory back: it is soon started again. */
const REST_MS = 120_000;

/** The guard of one run of one guest: its domain manager. */
export class GuestGuard implements Disposable {
  readonly guest: GuardedGuest;
  readonly #context: GuardContext;
  readonly #scanner: ScannerProcess;
  readonly #lives: FindingLives;
  readonly #since: Map<string, Date>;
  readonly #monitor: MonitorWatch | undefined;
  readonly #health: GuestHealth;
  readonly #count = new SweepCount();
  readonly #patience: StartupPatience;
  /** The RAM's file, held open: it outlives a QEMU that dies, and what was in it is evidence. */
  readonly #ram: number | undefined;
  /** What each check said last. */
  readonly #last = new Map<string, CheckResult>();
  #sightings: Sighting[] = [];
  #cpuMs = 0;
  /** No look has come to its end since the last that failed, or at all. */
  #failed = true;
  #told = "";
  /** It boots anew, and no look has understood it since. */
  #boots = false;

  constructor(context: GuardContext, guest: GuardedGuest) {
    this.#context = context;
    this.guest = guest;
    const known = context.recall.runs.get(guest.run);
    this.#lives = new FindingLives(known?.lives.values());
    this.#since = new Map(known?.since);
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

  get open(): number {
    return this.#lives.open.length;
  }

  /** The last look failed, or some check of it did not run to its end. */
  get blind(): boolean {
    const results = [...this.#last.values()];
    return this.#failed || results.some(({ status }) => status === "skipped" || status === "error");
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
      this.#tellCount(true);
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
    const must = this.#unsure().map(({ check }) => check);
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
    this.#failed = !result.ok;
    if (result.ok) {
      this.#boots = false;
      this.#cpuMs = result.cpuMs;
      this.#count.add(result.cpuMs, result.sweep.durationMs);
    } else {
      this.#count.addFailed();
      this.#tellFailure(result);
    }
    this.#tellCount(false);
    const seen: Sweep = result.ok
      ? this.#patience.take(result.sweep, this.#context.config.liveness)
      : { ...NOTHING, startedAt: at };
    if (result.ok) this.#tellCoverage(seen, result.release);
    const state = status === undefined ? [] : [stateResult(finding)];
    await this.#handle({
      ...seen,
      checks: [...seen.checks, ...state],
      findings: [...seen.findings, ...(finding === undefined ? [] : [finding])],
    });
  }

  async #handle(sweep: Sweep): Promise<void> {
    for (const { event, at, finding } of this.#lives.update(sweep)) {
      if (event === "new" || event === "reopened") this.#since.set(finding.id, at);
      this.#context.tell("finding", this.guest, { run: this.guest.run, event, at, finding });
    }
    const at = sweep.startedAt;
    this.#sightings.push(...sweep.findings.map(({ id }) => ({ id, at })));
    this.#sightings = this.#sightings.slice(-KEPT_SIGHTINGS);
    await this.#decide();
  }

  async #decide(): Promise<void> {
    const { config, recall } = this.#context;
    const { name, run } = this.guest;
    const now = new Date();
    const seen = recall.runs.get(run)?.acknowledged;
    const made = decide(
      config,
      {
        guest: name,
        run,
        open: this.#lives.open
          .filter(({ id }) => seen?.has(id) !== true)
          .map((finding) => ({
            ...finding,
            shares: sharesOf(finding.check),
            since: this.#since.get(finding.id) ?? now,
          })),
        sightings: this.#sightings,
        past: recall.decisions.map(({ decision }) => decision),
      },
      now,
    );
    for (const { at: _, guest: __, ...decision } of made) {
      this.#context.tell("decision", this.guest, decision);
      const record = recall.decisions.at(-1);
      if (record?.decision.run === run) await carryOut(this.#context, this.guest, record);
    }
  }

  /** Told when it changes: what could not be looked at is never silently clean, nor what is allowed. */
  #tellCoverage({ checks, durationMs, allowed }: Sweep, release: string | null): void {
    for (const result of checks) this.#last.set(result.id, result);
    const known = [...this.#last.values()];
    const unseen = known.filter(({ status }) => status === "skipped" || status === "error");
    const waived = allowed.map(({ by, finding }) => ({ id: finding.id, by }));
    const facts = {
      checks: known.length,
      unseen: unseen.map(({ id, reason }) => ({ id, reason: reason ?? null })),
      kernel: release,
      // Of a look that left checks out nothing is known about what they allow.
      ...(checks.length < allChecks.length ? {} : { allowed: waived }),
    };
    const key = JSON.stringify([facts.checks, unseen.map(({ id }) => id), release, facts.allowed]);
    if (key === this.#told || (facts.allowed === undefined && this.#told !== "")) return;
    this.#told = key;
    this.#context.tell("watching", this.guest, { run: this.guest.run, durationMs, ...facts });
  }

  #tellFailure({ crashed, code, message }: ScanResult & { ok: false }): void {
    if (ANOTHER_BOOT.has(code)) this.#rebooted();
    const facts = { run: this.guest.run, code, message, waitMs: this.#scanner.backOffMs };
    if (crashed) this.#context.tell("scanner-ended", this.guest, facts);
    else if (code !== this.#told) this.#context.tell("sweep-failed", this.guest, facts);
    this.#told = code;
  }

  #tellCount(atEnd: boolean): void {
    const counted = this.#count.take(atEnd);
    if (counted === undefined) return;
    this.#context.tell("sweeps", this.guest, { run: this.guest.run, ...counted });
  }

  /** Open findings that only one sweep saw. */
  #unsure() {
    const seen = (id: string): number => this.#sightings.filter((one) => one.id === id).length;
    return this.#lives.open.filter(({ id }) => seen(id) === 1);
  }

  #waitMs(schedule: Schedule): number {
    const { backOffMs } = this.#scanner;
    if (backOffMs > 0) return backOffMs;
    if (this.#unsure().length > 0) return Math.min(CONFIRM_MS, schedule.interval);
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
