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
import { ControlServer } from "./control-server.ts";
import { EvidenceKeeper } from "./evidence-keeper.ts";
import { FrontDesk } from "./front-desk.ts";
import { contextOf } from "./guard-context.ts";
import type { GuardContext } from "./guard-context.ts";
import { GuestRoster } from "./guest-roster.ts";
import type { GuardEnd, RosterOptions } from "./guest-roster.ts";
import { LiveConfig } from "./live-config.ts";
import type { LoadedConfig } from "./load-config.ts";
import { work } from "./reactor.ts";
import { Recall } from "./recall.ts";
import { ServiceManager } from "./service-manager.ts";
import { StorageKeeper } from "./storage-keeper.ts";
import { StoreKeeper } from "./store-keeper.ts";

export type DaemonOptions = RosterOptions & {
  readonly home: Home;
  /** Reads the configuration, at the start and whenever it is to be read anew. */
  readonly load: () => LoadedConfig;
  readonly onEvent: (event: GuardEvent) => void;
};

/** How long whoever is at work may take to end. */
const ENDING_MS = 30_000;

/**
 * The guard: knows every guest, watches each, decides and acts, and writes all of it down, until
 * the signal comes. Returns how many findings are open, and whether any guest was not seen whole.
 * Throws KVMSEC_DAEMON_RUNNING where another one guards this home.
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
  const roster = new GuestRoster(context, options);
  held.use(new EvidenceKeeper(context, options.onTrouble));
  const storage = held.use(new StorageKeeper(context, options.onTrouble));
  log.on((event) => storage.take(event));
  const desk = new FrontDesk(context, config, options.onTrouble);
  held.use(desk.onHangup());
  held.use(new ControlServer(home.root, (request) => desk.answer(request), options.onTrouble));
  manager.ready(`guarding with the profile ${profile}`);
  const end = await roster.run();
  manager.stopping();
  const reason = signal.aborted ? "signal" : "once";
  tell("daemon-stopped", undefined, { pid: process.pid, reason });
  return end;
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
