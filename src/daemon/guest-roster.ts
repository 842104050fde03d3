import type { Config } from "./config.ts";
import type { GuardContext } from "./guard-context.ts";
import { guestsNow, stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { GuestGuard } from "./guest-guard.ts";
import { PacketWatch } from "./packet-watch.ts";
import { pauseUntil } from "./pause.ts";

/** How the guard leaves its guests. */
export type GuardEnd = {
  readonly open: number;
  /** A guest could not be looked at, or not by every check. */
  readonly blind: boolean;
};

export type RosterOptions = {
  /** One sweep of each guest, and what follows from it, then leave. */
  readonly once: boolean;
  readonly signal: AbortSignal;
  /** Told what is wrong with the guard itself. */
  readonly onTrouble: (text: string) => void;
};

/** How often guests are looked for. */
const LOOK_MS = 1000;

type Guarding = {
  readonly guard: GuestGuard;
  /** Lets the guest go: it is not configured any more. */
  readonly leave: AbortController;
  readonly over: Promise<void>;
};

/** The guests that are to be guarded, as they come and go, and the guard of each. */
export class GuestRoster {
  readonly #context: GuardContext;
  readonly #options: RosterOptions;
  readonly #guards = new Map<string, Guarding>();
  readonly #troubles = new Set<string>();
  readonly #packets: PacketWatch;
  #config: Config;
  #open = 0;
  #blind = false;

  constructor(context: GuardContext, options: RosterOptions) {
    this.#context = context;
    this.#options = options;
    this.#config = context.config;
    this.#packets = new PacketWatch(context, options.onTrouble);
  }

  /** Until the signal comes, and every guard has come to its end; `once`: one sweep of each. */
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
