const CLOCK_EVERY = 1024;
const PATIENCE = 250;

/**
 * What a walk through hostile memory may cost: steps and time. A walk that runs out stops where
 * it is, and says so through `exhausted`.
 */
export class Budget {
  #steps: number;
  readonly #deadline: number;
  #untilClock = CLOCK_EVERY;
  #whole: Budget | undefined;
  #patience: number;

  /** `patience`: how long it may be waited for the guest in all, in milliseconds. */
  constructor(steps = 4_000_000, milliseconds = 10_000, patience = PATIENCE) {
    this.#steps = steps;
    this.#patience = patience;
    this.#deadline = performance.now() + milliseconds;
  }

  /** At most so many steps of this budget, for one of many walks: none may eat up the others'. */
  part(steps: number): Budget {
    const part = new Budget(steps, Number.POSITIVE_INFINITY);
    part.#whole = this;
    return part;
  }

  /**
   * Waits a moment for the guest, whose processor may have been taken off this machine's in the
   * middle of a change; while there is patience left. A guest full of damage shall not hold us.
   */
  wait(milliseconds: number): void {
    if (this.#whole !== undefined) return this.#whole.wait(milliseconds);
    if (this.#patience < milliseconds) return;
    this.#patience -= milliseconds;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  }

  /** Takes one step; false when nothing is left. */
  step(): boolean {
    if (this.#steps <= 0 || this.#whole?.step() === false) return false;
    this.#steps--;
    if (--this.#untilClock > 0) return true;
    this.#untilClock = CLOCK_EVERY;
    if (performance.now() > this.#deadline) this.#steps = 0;
    return this.#steps > 0;
  }

  get exhausted(): boolean {
    return this.#steps <= 0 || this.#whole?.exhausted === true;
  }
}
