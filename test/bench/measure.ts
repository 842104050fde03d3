/** One figure of the benchmark. */
export type Figure = {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "ns" | "MiB" | "%";
  /** What docs/SPECIFICATION.md promises, in the same unit. */
  readonly goal: number;
};

/**
 * Milliseconds of one call: the best of `runs`, after `warmUp` calls that do not count. Whatever
 * else the machine does only adds to a time, so the best is what the code itself takes.
 */
export function timeMs(work: () => void, runs: number, warmUp = 0): number {
  for (let i = 0; i < warmUp; i++) work();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  return Math.min(...times);
}
