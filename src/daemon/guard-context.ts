import { availableParallelism } from "node:os";
import type { EventKind } from "../events/event.ts";
import type { Home } from "../vm/home.ts";
import type { Config } from "./config.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import type { LiveConfig } from "./live-config.ts";
import type { Recall } from "./recall.ts";
import { Turns } from "./turns.ts";

/** What every part of the guard works with. */
export type GuardContext = {
  readonly home: Home;
  readonly config: Config;
  readonly recall: Recall;
  /** So many sweeps at once as the host has processors for. */
  readonly turns: Turns;
  /**
   * Puts an event on record, and into `recall`. Always true: where the disk takes no more that is
   * told, and the guard goes on without a record.
   */
  tell(kind: EventKind, guest: Pick<GuardedGuest, "name"> | undefined, data: object): true;
};

/** A context whose configuration is always the one that holds now. */
export function contextOf(
  home: Home,
  config: LiveConfig,
  recall: Recall,
  tell: GuardContext["tell"],
): GuardContext {
  return {
    home,
    recall,
    turns: newTurns(),
    tell,
    get config() {
      return config.now;
    },
  };
}

/** One processor is left to the guests. */
function newTurns(): Turns {
  return new Turns(Math.max(1, availableParallelism() - 1));
}
