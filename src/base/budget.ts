const CLOCK_EVERY = 1024;

/**
 * What a walk through hostile memory may cost: steps and time. A walk that runs out stops where
 * it is, and says so through `exhausted`.
 */
export class Budget {
  #steps: number;
  readonly #deadline: number;
  #untilClock = CLOCK_EVERY;
  #whole: Budget | undefined;

  constructor(steps = 4_000_000, milliseconds = 10_000) {
    this.#steps = steps;
    this.#deadline = performance.now() + milliseconds;
  }

  /** At most so many steps of this budget, for one of many walks: none may eat up the others'. */
  part(steps: number): Budget {
    const part = new Budget(steps, Number.POSITIVE_INFINITY);
    part.#whole = this;
    return part;
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
