const MOST = 100;

/** Why something could not be seen: each reason once, and no more than `most` of them. */
export class Reasons {
  readonly #told = new Set<string>();
  readonly #most: number;

  constructor(most = MOST) {
    this.#most = most;
  }

  add(reason: string): void {
    if (this.#told.size < this.#most) this.#told.add(reason);
  }

  /** In the order in which they were told. */
  get all(): string[] {
    return [...this.#told];
  }

  get any(): boolean {
    return this.#told.size > 0;
  }
}
