import type { Kernel } from "../linux/kernel.ts";

/** What was seen of a kernel since it is watched. A guest that boots anew is another kernel. */
const seen = new WeakMap<Kernel, Map<string, number>>();

/**
 * The strongest value that something has had since this kernel is watched, `value` included: of a
 * protection that only ever grows, or that somebody may take away. At the first look it is the
 * value itself, so nothing can be said about what was before.
 */
export function strongestSeen(kernel: Kernel, name: string, value: number): number {
  const values = seen.get(kernel) ?? new Map<string, number>();
  seen.set(kernel, values);
  const strongest = Math.max(values.get(name) ?? value, value);
  values.set(name, strongest);
  return strongest;
}
