import type { GuestVirtual } from "../base/address.ts";

/** A function that the kernel will call, and who holds the pointer to it. */
export type Callback = {
  /** `timer`, `work of events_unbound`, `handler of eth0`: an article goes before it. */
  readonly what: string;
  readonly function: GuestVirtual;
  /** The struct that leads to it: a `timer_list`, an `irqaction`. */
  readonly holder: GuestVirtual;
};

/** Told why a part of what holds callbacks could not be read. */
export type Problem = (reason: string) => void;

/** What holds callbacks is whole in a sound guest, or hardly a part of it is not. */
const MOST_FAULTS = 64;

/** Passes on what could not be read, and says when it is so much that what is walked is something else. */
export class FaultCount {
  readonly tell: Problem;
  #faults = 0;

  constructor(problem: Problem) {
    this.tell = (reason) => {
      this.#faults++;
      problem(reason);
    };
  }

  get tooMany(): boolean {
    return this.#faults > MOST_FAULTS;
  }
}
