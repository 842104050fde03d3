import { matches } from "../policy/decide.ts";
import type { Config } from "./config.ts";

/** How a guest is watched. Times in milliseconds. */
export type Schedule = {
  readonly interval: number;
  readonly jitter: number;
  readonly seldom: number;
  readonly budget: number;
  readonly sweepLimit: number;
};

/** The schedule of a guest: what the first entry that names it says, else what holds for all. */
export function scheduleOf(config: Config, guest: string): Schedule {
  const { interval, jitter, seldom, budget, sweepLimit } = config;
  const own = config.schedules.find(({ guests }) => matches(guests, guest));
  return {
    interval: own?.interval ?? interval,
    jitter: own?.jitter ?? jitter,
    seldom: own?.seldom ?? seldom,
    budget: own?.budget ?? budget,
    sweepLimit: own?.sweepLimit ?? sweepLimit,
  };
}

/**
 * How long to wait after a look: the interval with its part of chance, and longer where the look
 * has cost more than the budget grants for that time.
 */
export function waitAfter({ interval, jitter, budget }: Schedule, cpuMs: number): number {
  const chance = 1 + jitter * (2 * Math.random() - 1);
  return Math.max(interval * chance, cpuMs / budget - cpuMs);
}
