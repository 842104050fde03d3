import { visitKernelPages } from "../arch/x86/mapped-ranges.ts";
import type { KernelPage, TableWalk } from "../arch/x86/mapped-ranges.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";

const PAGE = 4096;
/** Executable pages that are looked at one by one; a kernel with its modules has some 10,000. */
const MAX_PAGES = 1 << 20;
/** VSYSCALL_ADDR (arch/x86/include/uapi/asm/vsyscall.h): the one page that is there for programs. */
const VSYSCALL = -10 * 2 ** 20;

/** Neighbouring pages with one fault. */
export type Run = { start: GuestVirtual; size: number; readonly physical: GuestPhysical };

/** Mappings of the kernel's half that no sound kernel has, by what is wrong with them. */
export type PageSurvey = {
  /** Why some of the mappings were not seen. */
  readonly unseen: readonly string[];
  /** Executable pages that were looked at. */
  readonly executable: number;
  readonly writable: readonly Run[];
  readonly ownerless: readonly Run[];
  readonly aliases: readonly Run[];
  /** Constant data where they belong, which may be written. */
  readonly unprotected: readonly Run[];
  /** What programs may reach. */
  readonly reachable: readonly Run[];
};

/** Looks at every mapping of `init_mm`'s kernel half; `owned` says whether a page's code has an owner. */
export function surveyKernelPages(
  kernel: Kernel,
  owned: (page: GuestVirtual) => boolean,
): PageSurvey {
  const { memory, space, image } = kernel;
  const textEnd = image.physical + (kernel.requireSymbol("_etext") - image.virtual);
  const rodata = {
    start: kernel.symbol("__start_rodata"),
    end: kernel.symbol("__end_rodata"),
  };
  const found = {
    writable: [] as Run[],
    ownerless: [] as Run[],
    aliases: [] as Run[],
    unprotected: [] as Run[],
    reachable: [] as Run[],
  };
  let executable = 0;
  const visit = ({ start, size, physical, ...rights }: KernelPage): void => {
    const overlapsText = physical < textEnd && physical + size > image.physical;
    // Text that is writable where it belongs is found as writable and executable.
    const isItself = start >= image.virtual && start < image.virtual + image.size;
    if (rights.writable && overlapsText && !isItself) add(found.aliases, start, size, physical);
    if (rights.user && start !== VSYSCALL) add(found.reachable, start, size, physical);
    const isConstant = start < rodata.end && start + size > rodata.start;
    if (rights.writable && isConstant && !rights.executable) {
      add(found.unprotected, start, size, physical);
    }
    if (!rights.executable) return;
    if (rights.writable) add(found.writable, start, size, physical);
    for (let at = 0; at < size && executable < MAX_PAGES; at += PAGE) {
      executable++;
      if (!owned(start + at)) add(found.ownerless, start + at, PAGE, physical + at);
    }
  };
  const { folding, tables } = space;
  const walk = visitKernelPages(memory, folding, tables, kernel.budget(), visit);
  return { ...found, unseen: unseenOf(walk, executable), executable };
}

function unseenOf({ ended, missing, excess }: TableWalk, executable: number): string[] {
  const whole = ended && executable < MAX_PAGES;
  return [
    ...(whole ? [] : ["the page tables are larger than any kernel's"]),
    ...(missing === 0 ? [] : [`${missing} page tables are not in memory`]),
    ...(excess === 0 ? [] : [`${excess} regions of memory are more than any kernel uses`]),
  ];
}

/** Neighbours become one run. */
function add(runs: Run[], start: GuestVirtual, size: number, physical: GuestPhysical): void {
  const last = runs.at(-1);
  if (last !== undefined && last.start + last.size === start) last.size += size;
  else runs.push({ start, size, physical });
}
