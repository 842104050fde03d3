import { visitKernelPages } from "../arch/x86/mapped-ranges.ts";
import { PAGE_SIZE } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CodeOwners } from "../linux/code-owner.ts";
import type { Kernel } from "../linux/kernel.ts";
import { regionBase } from "../linux/memory-layout.ts";
import { PageFrames } from "../linux/page-frames.ts";
import { FrameSet } from "./frame-set.ts";
import type { Region } from "./region.ts";
import { piecesAt } from "./region.ts";

type Run = { readonly start: number; readonly physical: number; size: number };

/** The kernel's struct pages say nothing that a rule looks for. */
type Areas = { readonly direct: readonly Run[]; readonly mapped: readonly Run[] };

/**
 * The kernel's own memory: its image, modules and all that vmalloc gave, by its addresses; then, by
 * those of the direct map, every other frame that no process and no file has: the kernel's heap,
 * page tables, and memory that was given back.
 */
export function* kernelRegions(
  kernel: Kernel,
  budget: Budget,
  tell: { problem(reason: string): void; unread(bytes: number): void },
): Generator<Region> {
  const owners = new CodeOwners(kernel);
  const place = (at: number) => ({ address: kernel.format(at), symbol: owners.describe(at) });
  const { direct, mapped } = areasOf(kernel, budget, tell.problem);
  const seen = new FrameSet();
  for (const { physical, size } of mapped) seen.add(physical, size);
  yield region(kernel, "kernel", mapped, place, tell.unread);
  const address = (at: number) => ({ address: kernel.format(at) });
  const rest = restOf(kernel, direct, seen);
  yield region(kernel, "kernel heap or free memory", rest, address, tell.unread);
}

function region(
  kernel: Kernel,
  name: string,
  runs: readonly Run[],
  place: Region["place"],
  unread: (bytes: number) => void,
): Region {
  const size = runs.reduce((sum, run) => sum + run.size, 0);
  return { scope: "kernel", name, size, pieces: piecesOf(kernel, runs, unread), place };
}

function* piecesOf({ memory }: Kernel, runs: readonly Run[], unread: (bytes: number) => void) {
  for (const { start, physical, size } of runs) {
    yield* piecesAt(memory, start, physical, size, unread);
  }
}

/** Mapped pages, neighbours joined; the direct map apart, and without the array of struct pages. */
function areasOf(kernel: Kernel, budget: Budget, problem: (reason: string) => void): Areas {
  const { memory, space } = kernel;
  const directStart = regionBase(kernel, "page_offset_base");
  const pages = regionBase(kernel, "vmemmap_base");
  if (directStart !== directStart || pages !== pages) {
    problem("where the direct map lies is not known, so the kernel's heap is not told apart");
  }
  const areas = { direct: [] as Run[], mapped: [] as Run[] };
  const top = pages + PAGES_SPAN;
  const { ended, missing, excess } = visitKernelPages(
    memory,
    space.folding,
    space.tables,
    budget,
    ({ start, size, physical }) => {
      if (start >= pages && start < top) return;
      const isDirect = start - directStart === physical;
      add(isDirect ? areas.direct : areas.mapped, { start, size, physical });
    },
  );
  if (!ended) problem("the page tables are larger than any kernel's");
  if (missing > 0) problem(`${missing} page tables are not in memory`);
  if (excess > 0) problem(`${excess} regions of memory are more than any kernel uses`);
  return areas;
}

/** The array of struct pages has 1 TiB of addresses (Documentation/arch/x86/x86_64/mm.rst). */
const PAGES_SPAN = 2 ** 40;

function add(runs: Run[], run: Run): void {
  const last = runs.at(-1);
  const follows =
    last !== undefined &&
    last.start + last.size === run.start &&
    last.physical + last.size === run.physical;
  if (follows) last.size += run.size;
  else runs.push(run);
}

/** Frames that no process and no file has, and that were not scanned under another address. */
function restOf(kernel: Kernel, direct: readonly Run[], seen: FrameSet): Run[] {
  const frames = new PageFrames(kernel);
  const host = kernel.reader("address_space", "host");
  const mappingOf = kernel.reader("inode", "i_mapping");
  const isFile = (physical: number): boolean => {
    const mapping = frames.mapping(frames.headAt(physical));
    if (!(mapping < 0) || mapping % 4 !== 0) return false;
    const inode = host(mapping);
    return inode < 0 && mappingOf(inode) === mapping;
  };
  // What the guest never touched is zeros, where the host knows of it.
  const touched = new FrameSet();
  const { memory } = kernel;
  for (const { start, size } of memory.populated?.() ?? memory.ranges) touched.add(start, size);
  const rest: Run[] = [];
  for (const { start, physical, size } of direct) {
    for (let at = 0; at < size; at += PAGE_SIZE) {
      const frame = physical + at;
      if (!touched.has(frame) || seen.has(frame)) continue;
      if (frames.isAnonymous(frame) === true || isFile(frame)) continue;
      add(rest, { start: start + at, physical: frame, size: PAGE_SIZE });
    }
  }
  return rest;
}
