import { availableParallelism } from "node:os";
import { join } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import type { EventKind, GuardEvent } from "../events/event.ts";
import { nextEvent } from "../events/event.ts";
import { EventLog, eventLogPath } from "../events/event-log.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { Home } from "../vm/home.ts";
import { lockHolder, signLock } from "../vm/vm-lock.ts";
import type { Config } from "./config.ts";
import type { ControlRequest } from "./control-request.ts";
import { ControlServer } from "./control-server.ts";
import type { GuardContext } from "./guard-context.ts";
import { guestsNow, stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { GuestGuard } from "./guest-guard.ts";
import { pauseUntil } from "./pause.ts";
import { work } from "./reactor.ts";
import { Recall } from "./recall.ts";
import { ServiceManager } from "./service-manager.ts";
import { StoreKeeper } from "./store-keeper.ts";
import { Turns } from "./turns.ts";

export type DaemonOptions = {
  readonly home: Home;
  readonly config: Config;
  /** One sweep of each guest, and what follows from it, then leave. */
  readonly once: boolean;
  readonly signal: AbortSignal;
  readonly onEvent: (event: GuardEvent) => void;
  /** Told what is wrong with the guard itself. */
  readonly onTrouble: (text: string) => void;
};

/** How often guests are looked for. */
const LOOK_MS = 1000;

/**
 * The guard: knows every guest, watches each, decides and acts, and writes all of it down, until
 * the signal comes. Returns how many findings are open. Throws KVMSEC_DAEMON_RUNNING where another
 * one guards this home.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const { home, signal, config } = options;
  using held = new DisposableStack();
  held.use(onlyOne(home));
  const manager = held.use(new ServiceManager());
  const recall = new Recall();
  const log = held.use(EventLog.open(eventLogPath(home.root), (event) => recall.take(event)));
  log.on((event) => recall.take(event));
  log.on(options.onEvent);
  const tell = teller(log, recall, options);
  const store = held.use(new StoreKeeper(home, options.onTrouble));
  log.on(() => store.stale());
  const context: GuardContext = { home, config, recall, turns: newTurns(), tell };
  const { profile, dryRun, interval } = config;
  tell("daemon-started", undefined, { pid: process.pid, profile, dryRun, intervalMs: interval });
  await settle(context);
  const daemon = new Daemon(context, options);
  held.use(new ControlServer(home.root, (request) => answer(context, request), options.onTrouble));
  manager.ready(`guarding with the profile ${profile}`);
  const open = await daemon.run();
  manager.stopping();
  const reason = signal.aborted ? "signal" : "once";
  tell("daemon-stopped", undefined, { pid: process.pid, reason });
  return open;
}

/** What a person asks of the guard. */
function answer({ config, recall, tell }: GuardContext, request: ControlRequest): object {
  if (request.ask === "status") {
    const guests = [...recall.runs.values()].map(({ guest }) => guest);
    return { pid: process.pid, profile: config.profile, dryRun: config.dryRun, guests };
  }
  const { kind, guest, data } = request.record;
  tell(kind, guest === null ? undefined : { name: guest }, data);
  return {};
}

class Daemon {
  readonly #context: GuardContext;
  readonly #options: DaemonOptions;
  readonly #guards = new Map<string, { guard: GuestGuard; over: Promise<void> }>();
  readonly #troubles = new Set<string>();
  #open = 0;

  constructor(context: GuardContext, options: DaemonOptions) {
    this.#context = context;
    this.#options = options;
  }

  async run(): Promise<number> {
    const { signal, once } = this.#options;
    let first = true;
    while (!signal.aborted) {
      this.#meet(this.#guestsNow(), first);
      first = false;
      if (once) break;
      await pauseUntil(LOOK_MS, signal);
    }
    // What is being done is done to its end: a reaction is never left half-way by an ordered stop.
    await Promise.all([...this.#guards.values()].map(({ over }) => over));
    return this.#open;
  }

  /** Guards each that is not guarded yet; tells the end of those that went while nobody looked. */
  #meet(guests: readonly GuardedGuest[], first: boolean): void {
    const { recall, tell } = this.#context;
    const now = new Set(guests.map(({ run }) => run));
    for (const [run, { guest: name }] of first ? [...recall.runs] : []) {
      if (now.has(run)) continue;
      const facts = { run, ordered: null, how: "it ended, or is not configured any more" };
      tell("guest-ended", { name }, facts);
    }
    for (const guest of guests) {
      if (!this.#guards.has(guest.run)) this.#begin(guest);
    }
  }

  #begin(guest: GuardedGuest): void {
    const { recall, tell } = this.#context;
    const again = recall.runs.has(guest.run);
    const { run, identity } = guest;
    tell("guest-found", guest, { run, pid: identity.pid, again });
    const guard = new GuestGuard(this.#context, guest);
    this.#guards.set(run, { guard, over: this.#guard(guard) });
  }

  async #guard(guard: GuestGuard): Promise<void> {
    const { signal, once, onTrouble } = this.#options;
    try {
      await guard.run(signal, once);
      this.#open += guard.open;
      if (!stillRuns(guard.guest)) await guard.tellEnd();
    } catch (error) {
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
      return guestsNow(home, config, (target, { code, message }) =>
        this.#trouble(`${target}: ${code}: ${message}`),
      );
    } catch (error) {
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

/** Reactions that an earlier kvmsec began and did not live to end. */
async function settle({ tell }: GuardContext): Promise<void> {
  try {
    const { settled } = await work({ work: "settle" });
    if (Array.isArray(settled) && settled.length > 0) {
      tell("alert", undefined, { settled });
    }
  } catch (error) {
    tell("alert", undefined, { settling: String(error) });
  }
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

/** One processor is left to the guests. */
function newTurns(): Turns {
  return new Turns(Math.max(1, availableParallelism() - 1));
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
