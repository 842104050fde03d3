import type { Item, ItemKind, Observation } from "./observe.ts";

/** What differs from what was known good. */
export type Difference = {
  readonly kind: ItemKind;
  readonly key: string;
  readonly change: "new" | "changed" | "gone";
  /** Undefined where it was not there. */
  readonly before: string | undefined;
  readonly after: string | undefined;
};

/** Kinds that mean nothing once another kernel runs. */
const OF_ONE_KERNEL: ReadonlySet<ItemKind> = new Set(["text", "module"]);

/**
 * What is new, changed or gone. Of a kind that could not be seen whole nothing is said to be gone.
 * Where another kernel runs, only that is told of its text and modules. Pure.
 */
export function diff(known: readonly Item[], seen: Observation): Difference[] {
  const before = new Map(known.map((item) => [`${item.kind} ${item.key}`, item]));
  const after = new Map(seen.items.map((item) => [`${item.kind} ${item.key}`, item]));
  const differences: Difference[] = [];
  for (const [name, { kind, key, value }] of after) {
    const was = before.get(name);
    if (was?.value === value) continue;
    if (kind === "log" && was !== undefined && !shrank(was.value, value)) continue;
    const change = was === undefined ? "new" : "changed";
    differences.push({ kind, key, change, before: was?.value, after: value });
  }
  for (const [name, { kind, key, value }] of before) {
    if (after.has(name) || seen.gaps.has(kind)) continue;
    if (seen.skipped?.has(kind) === true) continue;
    differences.push({ kind, key, change: "gone", before: value, after: undefined });
  }
  const another = differences.some(({ kind }) => kind === "kernel");
  return another ? differences.filter(({ kind }) => !OF_ONE_KERNEL.has(kind)) : differences;
}

/** What could not be seen of what is known, and why. */
export function gapsOf(
  known: readonly Item[],
  { gaps, skipped = new Set() }: Observation,
): ReadonlyMap<ItemKind, string> {
  const kinds = new Set(known.map(({ kind }) => kind));
  const unread = [...skipped].filter((kind) => kinds.has(kind));
  return new Map([...gaps, ...unread.map((kind) => [kind, "its disks cannot be read"] as const)]);
}

/** `INODE SIZE`: logs grow, and give way to others when they are rotated; none gets shorter by itself. */
function shrank(before: string, after: string): boolean {
  const [inode, size] = before.split(" ").map(Number);
  const [nowInode, nowSize] = after.split(" ").map(Number);
  return inode === nowInode && nowSize < size;
}
