/** What a policy needs to know of a finding to tell whose word it is. */
export type Witness = {
  readonly check: string;
  /** What its check reads that other checks judge too (`Check.shares`). */
  readonly shares?: readonly string[];
};

/**
 * How many checks say so that do not depend on each other. Checks that judge the same thing are one
 * witness: one edit of it makes all of them speak. So are two that share nothing but have a third
 * between them, for its finding may be the very edit that both of them see.
 */
export function independentWitnesses(findings: readonly Witness[]): number {
  const groups: Set<string>[] = [];
  for (const { check, shares = [] } of findings) {
    const mine = new Set([`check ${check}`, ...shares]);
    for (const group of groups.splice(0)) {
      if (group.isDisjointFrom(mine)) groups.push(group);
      else for (const each of group) mine.add(each);
    }
    groups.push(mine);
  }
  return groups.length;
}
