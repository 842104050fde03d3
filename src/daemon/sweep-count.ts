/** Sweeps are put on record together, so often. */
const RECORD_MS = 600_000;

/** Counts the sweeps of a guest between two entries of the record. */
export class SweepCount {
  #since = new Date();
  #sweeps = 0;
  #failed = 0;
  #cpuMs = 0;
  #longestMs = 0;

  add(cpuMs: number, durationMs: number): void {
    this.#sweeps++;
    this.#cpuMs += cpuMs;
    this.#longestMs = Math.max(this.#longestMs, durationMs);
  }

  addFailed(): void {
    this.#failed++;
  }

  /** What is to be put on record, if it is time (or the end) and there was any; counts anew then. */
  take(atEnd: boolean): object | undefined {
    const since = this.#since;
    if (this.#sweeps + this.#failed === 0) return undefined;
    if (!atEnd && Date.now() - +since < RECORD_MS) return undefined;
    const counted = {
      since: since.toISOString(),
      sweeps: this.#sweeps,
      failed: this.#failed,
      cpuMs: Math.round(this.#cpuMs),
      longestMs: Math.round(this.#longestMs),
    };
    this.#since = new Date();
    this.#sweeps = this.#failed = this.#cpuMs = this.#longestMs = 0;
    return counted;
  }
}
