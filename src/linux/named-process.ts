/** A process as people know it. */
export type NamedProcess = {
  readonly pid: number;
  /** "?" where it cannot be read. */
  readonly comm: string;
};

/** Each process once, by ascending pid. */
export function distinctProcesses(all: Iterable<NamedProcess>): NamedProcess[] {
  const names = new Map<number, string>();
  for (const { pid, comm } of all) names.set(pid, comm);
  return [...names].map(([pid, comm]) => ({ pid, comm })).toSorted((a, b) => a.pid - b.pid);
}
