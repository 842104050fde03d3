/** What retention needs to know of a package. */
export type StoredPackage = {
  readonly folder: string;
  readonly id: string;
  readonly madeAt: Date;
  /** Bytes that it takes on the disk. */
  readonly bytes: number;
  readonly held: boolean;
};

export type Retention = {
  /** Older packages go, in milliseconds. */
  readonly maxAge?: number | undefined;
  /** The oldest go until no more than this is left, in bytes. */
  readonly maxBytes?: number | undefined;
  /** So many of the newest always stay. */
  readonly keep: number;
};

export type PrunePlan = {
  readonly remove: readonly { readonly package: StoredPackage; readonly why: "age" | "quota" }[];
  /** Bytes that are above the quota all the same: what is under hold, or among the newest. */
  readonly above: number;
};

/** Which packages are to go, the oldest first. What is under hold never is. Pure. */
export function planPrune(
  packages: readonly StoredPackage[],
  { maxAge, maxBytes, keep }: Retention,
  now: Date,
): PrunePlan {
  const oldest = packages.toSorted((a, b) => +a.madeAt - +b.madeAt);
  const free = oldest.slice(0, Math.max(0, oldest.length - keep)).filter(({ held }) => !held);
  const remove: { package: StoredPackage; why: "age" | "quota" }[] = [];
  let bytes = packages.reduce((sum, one) => sum + one.bytes, 0);
  for (const one of free) {
    const old = maxAge !== undefined && +now - +one.madeAt > maxAge;
    const large = maxBytes !== undefined && bytes > maxBytes;
    if (!old && !large) continue;
    remove.push({ package: one, why: old ? "age" : "quota" });
    bytes -= one.bytes;
  }
  return { remove, above: maxBytes === undefined ? 0 : Math.max(0, bytes - maxBytes) };
}
