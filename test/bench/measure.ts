/** One figure of the benchmark. */
export type Figure = {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "ns" | "MiB" | "%";
  /** What docs/SPECIFICATION.md promises, in the same unit. */
  readonly goal: number;
};

/** So long one figure may take, but for its fewest runs. */
const LIMIT_MS = 4000;
const FEWEST = 3;

/**
 * Milliseconds of one call: the best of `runs`, after `warmUp` calls that do not count. Whatever
 * else the machine does only adds to a time, so the best is what the code itself takes. On a slow
 * machine fewer runs are made, so that a benchmark ends.
 */
export function timeMs(work: () => void, runs: number, warmUp = 0): number {
  const deadline = performance.now() + LIMIT_MS;
  const inTime = (): boolean => performance.now() < deadline;
  for (let i = 0; i < warmUp && inTime(); i++) work();
  const times: number[] = [];
  for (let i = 0; i < runs && (i < FEWEST || inTime()); i++) {
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  return Math.min(...times);
}
