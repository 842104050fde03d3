import type { HostMapping } from "./process-maps.ts";
import type { RamPart } from "./ram-parts.ts";

/**
 * Finds the mapping of each part among those of its QEMU; undefined where one is missing. `made` has
 * the parts in the order in which QEMU made them, by which those of the same form are told apart:
 * what is made later is mapped below (measured; mmap(2) searches from the top).
 */
export function matchMappings(
  made: readonly RamPart[],
  maps: readonly HostMapping[],
): ReadonlyMap<RamPart, HostMapping> | undefined {
  const found = new Map<RamPart, HostMapping>();
  // What can be executed is code that QEMU's emulator made; its buffers are large and guarded too.
  const free = new Set(maps.filter(({ permissions }) => permissions.startsWith("rw-")));
  for (const part of made.toSorted((a, b) => rank(b) - rank(a))) {
    const candidates = [...free]
      .filter(({ size }) => size >= part.size)
      .toSorted((a, b) => rest(a, part) - rest(b, part) || (a.start < b.start ? 1 : -1));
    const mapping = choose(part, candidates, maps);
    if (mapping === undefined) return undefined;
    free.delete(mapping);
    found.set(part, mapping);
  }
  return found;
}

/** What QEMU told comes first; then the large ones, since their mappings would hold a small part too. */
function rank({ hostAddress, size }: RamPart): number {
  return hostAddress === undefined ? size : Number.POSITIVE_INFINITY;
}

/** A mapping of the very size comes first; one that the host merged with a neighbour is larger. */
function rest({ size }: HostMapping, part: RamPart): number {
  return size === part.size ? 0 : 1;
}

function choose(
  { hostAddress, backend }: RamPart,
  candidates: readonly HostMapping[],
  maps: readonly HostMapping[],
): HostMapping | undefined {
  if (hostAddress !== undefined) {
    return candidates.find(({ start, end }) => start <= hostAddress && hostAddress < end);
  }
  if (backend?.path !== undefined) {
    // In a folder (of hugetlbfs) QEMU makes a file of its own, named after the backend.
    const named = candidates.find(
      ({ path }) => path === backend.path || path.includes(`/qemu_back_mem.${backend.id}.`),
    );
    if (named !== undefined) return named;
  }
  const shared = (): HostMapping | undefined => candidates.find(isShared);
  const owned = (): HostMapping | undefined =>
    candidates.find((mapping) => isGuarded(mapping, maps));
  // Shared memory of that size may be a device's.
  const ofFile = backend !== undefined && backend.kind !== "ram";
  const found = ofFile ? (shared() ?? owned()) : (owned() ?? shared());
  return found ?? candidates[0];
}

/** A file or memfd that QEMU maps shared: its bytes are the guest's. */
export function isShared({ permissions, path, offset }: HostMapping): boolean {
  return permissions[3] === "s" && path.startsWith("/") && offset === 0;
}

/**
 * QEMU allocates RAM with a guard page behind it (util/mmap-alloc.c), so RAM is what ends where
 * an inaccessible mapping begins, even when the host merged it with a neighbour below.
 */
function isGuarded({ path, permissions, end }: HostMapping, maps: readonly HostMapping[]): boolean {
  return (
    (path === "" || permissions[3] === "p") &&
    maps.some((next) => next.start === end && next.permissions.startsWith("---"))
  );
}
