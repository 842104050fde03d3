import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import type { EventKind, GuardEvent } from "../events/event.ts";
import { nextEvent } from "../events/event.ts";
import { EventLog, eventLogPath } from "../events/event-log.ts";
import { tryLockFile } from "../native/file-lock.ts";
import { jobsAtWork } from "../response/job.ts";
import type { Settled } from "../response/pending.ts";
import type { Home } from "../vm/home.ts";
import { lockHolder, signLock } from "../vm/vm-lock.ts";
import { knownCut } from "../store/store.ts";
import type { LogCut } from "../store/store.ts";
import type { Config } from "./config.ts";
import { ControlServer } from "./control-server.ts";
import { EvidenceKeeper } from "./evidence-keeper.ts";
import { FrontDesk } from "./front-desk.ts";
import { contextOf } from "./guard-context.ts";
import type { GuardContext } from "./guard-context.ts";
import { guestsNow, stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { GuestGuard } from "./guest-guard.ts";
import { LiveConfig } from "./live-config.ts";
import type { LoadedConfig } from "./load-config.ts";
import { PacketWatch } from "./packet-watch.ts";
import { pauseUntil } from "./pause.ts";
import { work } from "./reactor.ts";
import { Recall } from "./recall.ts";
import { ServiceManager } from "./service-manager.ts";
import { StorageKeeper } from "./storage-keeper.ts";
import { StoreKeeper } from "./store-keeper.ts";

export type DaemonOptions = {
  readonly home: Home;
  /** Reads the configuration, at the start and whenever it is to be read anew. */
  readonly load: () => LoadedConfig;
  /** One sweep of each guest, and what follows from it, then leave. */
  readonly once: boolean;
  readonly signal: AbortSignal;
  readonly onEvent: (event: GuardEvent) => void;
  /** Told what is wrong with the guard itself. */
  readonly onTrouble: (text: string) => void;
};

/** How the guard leaves its guests. */
export type GuardEnd = {
  readonly open: number;
  /** A guest could not be looked at, or not by every check. */
  readonly blind: boolean;
};

/** How often guests are looked for. */
const LOOK_MS = 1000;
/** How long whoever is at work may take to end. */
const ENDING_MS = 30_000;

/**
 * The guard: knows every guest, watches each, decides and acts, and writes all of it down, until
 * the signal comes. Returns how many findings are open, and whether any guest was not seen whole. Throws KVMSEC_DAEMON_RUNNING where another
 * one guards this home.
 */
export async function runDaemon(options: DaemonOptions): Promise<GuardEnd> {
  const { home, signal } = options;
  const config = new LiveConfig(options.load);
  using held = new DisposableStack();
  held.use(onlyOne(home));
  const manager = held.use(new ServiceManager());
  const recall = new Recall();
  const cut = cutOff(home);
  const log = held.use(EventLog.open(eventLogPath(home.root), (event) => recall.take(event)));
  log.on((event) => recall.take(event));
  log.on(options.onEvent);
  const tell = teller(log, recall, options);
  const store = held.use(new StoreKeeper(home, options.onTrouble));
  log.on(() => store.stale());
  const context = contextOf(home, config, recall, tell);
  const { profile, dryRun, interval } = config.now;
  const started = { pid: process.pid, profile, dryRun, intervalMs: interval };
  tell("daemon-started", undefined, { ...started, config: config.facts() });
  if (cut !== undefined) {
    tell("log-cut", undefined, cut);
    options.onTrouble(
      `the event log was cut: it held ${cut.found} events, and the store knows of ${cut.events}`,
    );
  }
  await settle(context);
  const daemon = new Daemon(context, options);
  held.use(new EvidenceKeeper(context, options.onTrouble));
  const storage = held.use(new StorageKeeper(context, options.onTrouble));
  log.on((event) => storage.take(event));
  const desk = new FrontDesk(context, config, options.onTrouble);
  held.use(desk.onHangup());
  held.use(new ControlServer(home.root, (request) => desk.answer(request), options.onTrouble));
  manager.ready(`guarding with the profile ${profile}`);
  const end = await daemon.run();
  manager.stopping();
  const reason = signal.aborted ? "signal" : "once";
  tell("daemon-stopped", undefined, { pid: process.pid, reason });
  return end;
}

type Guarding = {
  readonly guard: GuestGuard;
  /** Lets the guest go: it is not configured any more. */
  readonly leave: AbortController;
  readonly over: Promise<void>;
};

class Daemon {
  readonly #context: GuardContext;
  readonly #options: DaemonOptions;
  readonly #guards = new Map<string, Guarding>();
  readonly #troubles = new Set<string>();
  readonly #packets: PacketWatch;
  #config: Config;
  #open = 0;
  #blind = false;

  constructor(context: GuardContext, options: DaemonOptions) {
    this.#context = context;
    this.#options = options;
    this.#config = context.config;
    this.#packets = new PacketWatch(context, options.onTrouble);
  }

  async run(): Promise<GuardEnd> {
    const { signal, once } = this.#options;
    let first = true;
    while (!signal.aborted) {
      this.#meet(this.#guestsNow(), first);
      if (this.#context.config.vms) void this.#packets.look();
      first = false;
      if (once) break;
      await pauseUntil(LOOK_MS, signal);
    }
    // What is being done is done to its end: a reaction is never left half-way by an ordered stop.
    await Promise.all([...this.#guards.values()].map(({ over }) => over));
    return { open: this.#open, blind: this.#blind };
  }

  /** Guards each that is not guarded yet; tells the end of those that went while nobody looked. */
  #meet(guests: readonly GuardedGuest[], first: boolean): void {
    const { recall, tell } = this.#context;
    const now = new Set(guests.map(({ run }) => run));
    this.#letGo(now);
    for (const [run, { guest: name }] of first ? [...recall.runs] : []) {
      if (now.has(run)) continue;
      const facts = { run, ordered: null, how: "it ended, or is not configured any more" };
      tell("guest-ended", { name }, facts);
    }
    for (const guest of guests) {
      if (!this.#guards.has(guest.run)) this.#begin(guest);
    }
  }

  /** Guests that the configuration does not name any more, since it was read anew. */
  #letGo(now: ReadonlySet<string>): void {
    const { config } = this.#context;
    if (config === this.#config) return;
    this.#config = config;
    for (const [run, { guard, leave }] of this.#guards) {
      if (!now.has(run) && stillRuns(guard.guest)) leave.abort();
    }
  }

  #begin(guest: GuardedGuest): void {
    const { recall, tell } = this.#context;
    const again = recall.runs.has(guest.run);
    const { run, identity } = guest;
    tell("guest-found", guest, { run, pid: identity.pid, again });
    const guard = new GuestGuard(this.#context, guest);
    const leave = new AbortController();
    this.#guards.set(run, { guard, leave, over: this.#guard(guard, leave.signal) });
  }

  async #guard(guard: GuestGuard, left: AbortSignal): Promise<void> {
    const { signal, once, onTrouble } = this.#options;
    const { run, name } = guard.guest;
    try {
      await guard.run(AbortSignal.any([signal, left]), once);
      this.#open += guard.open;
      this.#blind ||= guard.blind;
      if (!stillRuns(guard.guest)) await guard.tellEnd();
      else if (left.aborted) {
        const how = "it is not configured any more";
        this.#context.tell("guest-ended", { name }, { run, ordered: null, how });
      }
    } catch (error) {
      this.#blind = true;
      onTrouble(`the guard of ${guard.guest.name} failed and begins anew: ${String(error)}`);
      await pauseUntil(LOOK_MS, signal);
    } finally {
      guard[Symbol.dispose]();
      this.#guards.delete(guard.guest.run);
    }
  }

  #guestsNow(): GuardedGuest[] {
    const { home, config } = this.#context;
    try {
      return guestsNow(home, config, (target, { code, message }) => {
        this.#blind = true;
        this.#trouble(`${target}: ${code}: ${message}`);
      });
    } catch (error) {
      this.#blind = true;
      this.#trouble(`guests cannot be listed: ${String(error)}`);
      return [];
    }
  }

  #trouble(text: string): void {
    if (this.#troubles.has(text)) return;
    this.#troubles.add(text);
    this.#options.onTrouble(text);
  }
}

/** What the store has seen and the log does not hold any more; before anything is written to it. */
function cutOff(home: Home): LogCut | undefined {
  try {
    return knownCut(home);
  } catch {
    // That it cannot be opened is told by who keeps it.
    return undefined;
  }
}

/** Reactions that an earlier kvmsec began and did not live to end. */
async function settle({ home, tell }: GuardContext): Promise<void> {
  try {
    // Those who worked for a guard that was killed are about to end, and leave their jobs open.
    const deadline = Date.now() + ENDING_MS;
    while (jobsAtWork(home) > 0 && Date.now() < deadline) await sleep(50);
    const { settled } = await work({ work: "settle" });
    // Packing that was cut short touched no guest, and is taken up again.
    const told = asSettled(settled).filter(({ action }) => action !== "compress");
    if (told.length > 0) tell("alert", undefined, { settled: told });
  } catch (error) {
    tell("alert", undefined, { settling: String(error) });
  }
}

function asSettled(value: unknown): Settled[] {
  return Array.isArray(value) ? (value as Settled[]) : [];
}

/** A full disk takes the record from the guard, not its memory nor its hands. */
function teller(
  log: EventLog,
  recall: Recall,
  { onEvent, onTrouble }: DaemonOptions,
): GuardContext["tell"] {
  let unrecorded = 0;
  return (kind: EventKind, guest, data) => {
    const content = { kind, guest: guest?.name ?? null, data: { ...data } };
    try {
      log.append(content);
    } catch (error) {
      onTrouble(`the event log cannot be written: ${String(error)}`);
      const event = { ...nextEvent(undefined, content), sequence: --unrecorded };
      recall.take(event);
      onEvent(event);
    }
    return true;
  };
}

function onlyOne(home: Home): Disposable {
  const path = join(home.root, "daemon.lock");
  const lock = tryLockFile(path);
  if (lock === undefined) {
    throw new KvmsecError(
      "KVMSEC_DAEMON_RUNNING",
      `${lockHolder(path)} guards this home already.`,
      {
        hint: "Stop it first, or set KVMSEC_HOME to another folder.",
      },
    );
  }
  signLock(lock, "serve");
  return lock;
}
