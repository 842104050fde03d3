import { openSync, closeSync, fstatSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { sharesOf } from "../checks/registry.ts";
import type { Sweep } from "../checks/sweep.ts";
import { decide, matches } from "../policy/decide.ts";
import type { Sighting } from "../policy/decide.ts";
import { destructive } from "../policy/schema.ts";
import { FindingLives } from "./finding-life.ts";
import type { GuardContext } from "./guard-context.ts";
import { stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { MonitorWatch } from "./monitor-watch.ts";
import { carryOut } from "./reactor.ts";
import { ScannerProcess } from "./scanner-process.ts";
import type { ScanResult } from "./scanner-process.ts";
import { pauseUntil } from "./pause.ts";

/** Sightings of one finding that are kept. */
const KEPT_SIGHTINGS = 1000;
const LOG_LINES = 20;
const LOG_BYTES = 8192;
/** What QEMU wrote to its monitor before it went may still be on its way through the event loop. */
const LAST_WORDS_MS = 50;
/** A finding that only one sweep saw is looked for again so soon. */
const CONFIRM_MS = 1000;

/** The guard of one run of one guest: its domain manager. */
export class GuestGuard implements Disposable {
  readonly guest: GuardedGuest;
  readonly #context: GuardContext;
  readonly #scanner: ScannerProcess;
  readonly #lives: FindingLives;
  readonly #since: Map<string, Date>;
  readonly #monitor: MonitorWatch | undefined;
  #sightings: Sighting[] = [];
  #told = "";

  constructor(context: GuardContext, guest: GuardedGuest) {
    this.#context = context;
    this.guest = guest;
    const known = context.recall.runs.get(guest.run);
    this.#lives = new FindingLives(known?.lives.values());
    this.#since = new Map(known?.since);
    const { pid, startTime } = guest.identity;
    const { liveness, sweepLimit } = context.config;
    const order = {
      pid,
      startTime,
      kernelFile: guest.kernelFile ?? null,
      liveness: liveness.filter((rule) => matches(rule.guests, guest.name)),
    };
    this.#scanner = new ScannerProcess(order, sweepLimit);
    const { monitor } = guest;
    // After a reset another kernel boots, maybe elsewhere: what is known of this one means nothing.
    this.#monitor =
      monitor === undefined ? undefined : new MonitorWatch(monitor, () => this.#scanner.reset());
  }

  get open(): number {
    return this.#lives.open.length;
  }

  /** Sweeps, decides and reacts until the guest has ended or the signal comes; `once`: one time. */
  async run(signal: AbortSignal, once: boolean): Promise<void> {
    const stop = (): void => this.#scanner.reset();
    signal.addEventListener("abort", stop);
    try {
      await this.#resume();
      while (!signal.aborted && this.#isThere()) {
        const result = await this.#context.turns.take(() => this.#scanner.look());
        if (signal.aborted || !stillRuns(this.guest)) return;
        if (result.ok) await this.#handle(result.sweep, result.release);
        else this.#tellFailure(result);
        if (once) return;
        await pauseUntil(this.#waitMs(), signal, () => !this.#isThere());
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Whether it still runs; listens at its monitor from the first moment that one can. */
  #isThere(): boolean {
    void this.#monitor?.keepUp();
    return stillRuns(this.guest);
  }

  /** How the guest ended, put on record; whatever was not ordered is an alert. */
  async tellEnd(): Promise<void> {
    await sleep(LAST_WORDS_MS);
    const { shutdown, panicked } = this.#monitor?.ending ?? {};
    const heard = this.#monitor?.heard === true;
    const own = this.#endedByGuard();
    const ordered = own || (shutdown !== undefined && panicked !== true);
    const how = own
      ? "the guard ended it"
      : panicked
        ? "the guest's kernel panicked"
        : (shutdown ??
          (heard ? "QEMU ended without SHUTDOWN" : "QEMU ended; nobody heard its monitor"));
    const facts = { run: this.guest.run, ordered, how };
    const log = ordered ? {} : { log: lastLines(this.guest.log) };
    this.#context.tell("guest-ended", this.guest, { ...facts, ...log });
    if (!ordered) this.#context.tell("alert", this.guest, { ended: how, ...log });
  }

  [Symbol.dispose](): void {
    this.#scanner[Symbol.dispose]();
    this.#monitor?.[Symbol.dispose]();
  }

  /** What an earlier guard decided and did not live to do. */
  async #resume(): Promise<void> {
    for (const record of this.#context.recall.decisions) {
      if (record.decision.run === this.guest.run) {
        await carryOut(this.#context, this.guest, record);
      }
    }
  }

  async #handle(sweep: Sweep, release: string | null): Promise<void> {
    this.#tellCoverage(sweep, release);
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

  /** Told when it changes: what could not be looked at is never silently clean. */
  #tellCoverage({ checks, durationMs }: Sweep, release: string | null): void {
    const unseen = checks.filter(({ status }) => status === "skipped" || status === "error");
    const facts = {
      checks: checks.length,
      unseen: unseen.map(({ id, reason }) => ({ id, reason: reason ?? null })),
      kernel: release,
    };
    const key = JSON.stringify([facts.checks, unseen.map(({ id }) => id), release]);
    if (key === this.#told) return;
    this.#told = key;
    this.#context.tell("watching", this.guest, { run: this.guest.run, durationMs, ...facts });
  }

  #tellFailure({ crashed, code, message }: ScanResult & { ok: false }): void {
    const facts = { run: this.guest.run, code, message, waitMs: this.#scanner.backOffMs };
    if (crashed) this.#context.tell("scanner-ended", this.guest, facts);
    else if (code !== this.#told) this.#context.tell("sweep-failed", this.guest, facts);
    this.#told = code;
  }

  /** Whether one of the guard's own reactions was to end this run, and did. */
  #endedByGuard(): boolean {
    return this.#context.recall.decisions.some(
      ({ decision, done }) =>
        decision.run === this.guest.run && [...destructive].some((one) => done.has(one)),
    );
  }

  #isUnsure(): boolean {
    const seen = (id: string): number => this.#sightings.filter((one) => one.id === id).length;
    return this.#lives.open.some(({ id }) => seen(id) === 1);
  }

  #waitMs(): number {
    const { interval, jitter } = this.#context.config;
    const chance = 1 + jitter * (2 * Math.random() - 1);
    const { backOffMs } = this.#scanner;
    if (backOffMs > 0) return backOffMs;
    return this.#isUnsure() ? Math.min(CONFIRM_MS, interval) : interval * chance;
  }
}

/** The end of a file, for people who want to know why. */
function lastLines(path: string | undefined): string[] {
  if (path === undefined) return [];
  try {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      const bytes = Buffer.alloc(Math.min(size, LOG_BYTES));
      readSync(fd, bytes, 0, bytes.length, size - bytes.length);
      return bytes.toString("utf8").trimEnd().split("\n").slice(-LOG_LINES);
    } finally {
      closeSync(fd);
    }
  } catch {
    return [];
  }
}
