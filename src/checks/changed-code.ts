import { eachPresentPage } from "../arch/x86/present-pages.ts";
import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import { Budget } from "../base/budget.ts";
import type { ExecutableArea } from "../linux/executable-areas.ts";
import type { MappedFile } from "../linux/mapped-file.ts";
import type { PageFrames } from "../linux/page-frames.ts";
import { ProgramFiles } from "../linux/program-file.ts";
import type { Kernel } from "../linux/kernel.ts";
import { uprobes } from "../linux/uprobe.ts";
import type { Check, CheckContext } from "./check.ts";
import { executableMemory, mappedFiles } from "./memory-facts.ts";
import type { ProcessMemory } from "./memory-facts.ts";

const BREAKPOINT = 0xcc;
/** A call and its distance: what an optimized user probe is. */
const CALL = 0xe8;
const CALL_LENGTH = 5;
const MOST_SHOWN = 4;
const SHOWN_BYTES = 16;
/** Pages that are looked at in one sweep: 16 GiB of code. */
const MOST_PAGES = 4_000_000;

/** Code of programs and libraries is in every process what the file holds. */
export const changedCode: Check = {
  id: "changed-code",
  proves:
    "No process has code of a mapped program or library in a copy of its own that differs from the file's pages in memory.",
  reads: "page tables of every process over executable private mappings of files; the page cache",
  attack: ["T1055", "T1574"],
  limits:
    "Compared with the page cache, not with the disk: a file that was changed in the page cache looks the same in every process. A copied page whose file page is not in memory any more is counted as not looked at.",
  run(context) {
    const { rows, problems } = context.facts.get(executableMemory);
    for (const problem of problems) context.unseen(problem);
    const comparer = new Comparer(context);
    for (const memory of rows) comparer.compare(memory);
    if (comparer.looked === 0) context.unseen("no page could be told from another");
    context.cover(comparer.looked, comparer.looked + comparer.missed);
  },
};

/** A stretch of code that differs. Offsets count from the start of the file. */
type Change = {
  readonly offset: number;
  readonly address: number;
  readonly expected: Uint8Array;
  readonly seen: Uint8Array;
};

class Comparer {
  /** Pages. */
  looked = 0;
  missed = 0;
  readonly #context: CheckContext;
  readonly #programs: ProgramFiles;
  readonly #anonymous: AnonymousPages;
  readonly #probes: ReadonlyMap<GuestVirtual, ReadonlySet<number>>;
  readonly #budget = new Budget(MOST_PAGES);

  constructor(context: CheckContext) {
    const { kernel } = context;
    this.#context = context;
    this.#programs = new ProgramFiles(kernel);
    this.#anonymous = new AnonymousPages(this.#programs.cache.frames);
    this.#probes = probedOffsets(kernel, (reason) => context.unseen(reason));
  }

  compare(memory: ProcessMemory): void {
    const files = this.#context.facts.get(mappedFiles);
    for (const area of memory.areas) {
      if (area.file === 0 || area.shared || area.special) continue;
      const copied = this.#copiedPages(memory, area);
      if (copied.length === 0) continue;
      const file = files.of(area.file);
      if (file === undefined) this.missed += copied.length;
      else this.#compareArea(memory, area, file, copied);
    }
  }

  /** Pages of a mapping of a file that are the process's own. */
  #copiedPages({ tables, process }: ProcessMemory, area: ExecutableArea): CopiedPage[] {
    const copied: CopiedPage[] = [];
    const { memory } = this.#context.kernel;
    const whole = eachPresentPage(memory, tables, area, this.#budget, (address, physical, size) => {
      for (let at = 0; at < size; at += PAGE_SIZE) {
        const own = this.#anonymous.has(physical + at);
        if (own === undefined) this.missed++;
        else this.looked++;
        if (own === true) copied.push({ address: address + at, physical: physical + at });
      }
    });
    if (!whole && this.#budget.exhausted) {
      this.#context.unseen(`not all code of process ${process.pid} was looked at`);
    }
    return copied;
  }

  #compareArea(
    memory: ProcessMemory,
    area: ExecutableArea,
    file: MappedFile,
    copied: readonly CopiedPage[],
  ): void {
    const program = this.#programs.of(file.mapping);
    if (program === undefined) return;
    const changes = copied.flatMap(({ address, physical }) => {
      const offset = area.offset + (address - area.start);
      if (!this.#programs.isConstantCode(program, offset)) return [];
      const expected = this.#programs.page(file.mapping, offset / PAGE_SIZE);
      const seen = this.#context.kernel.memory.bytes(physical, PAGE_SIZE);
      if (expected === undefined || seen === undefined) {
        this.looked--;
        this.missed++;
        return [];
      }
      return differences(expected, seen, { offset, address });
    });
    const traced = memory.process.tracer !== undefined;
    const probes = this.#probes.get(file.mapping);
    const wrong = changes.filter((change) => !isBreakpoint(change, traced, probes));
    if (wrong.length > 0) this.#report(memory, file, wrong);
  }

  #report({ process }: ProcessMemory, { path }: MappedFile, changes: readonly Change[]): void {
    const { kernel } = this.#context;
    const { pid, comm, exe, uid, task } = process;
    this.#context.report({
      severity: "high",
      confidence: "high",
      title: `Process ${pid} (${comm}) runs changed code: ${path} differs in its memory at ${changes.length === 1 ? "one place" : `${changes.length} places`}.`,
      subject: { pid, task: kernel.format(task), file: path },
      evidence: {
        exe: exe ?? null,
        uid,
        changes: changes.slice(0, MOST_SHOWN).map(({ offset, address, expected, seen }) => ({
          fileOffset: `0x${offset.toString(16)}`,
          address: `0x${address.toString(16)}`,
          bytes: expected.length,
          expected: Buffer.from(expected.subarray(0, SHOWN_BYTES)).toString("hex"),
          seen: Buffer.from(seen.subarray(0, SHOWN_BYTES)).toString("hex"),
        })),
      },
    });
  }
}

/** Offsets of user probes, by the `address_space` of the file: each process gets a breakpoint there. */
function probedOffsets(
  kernel: Kernel,
  problem: (reason: string) => void,
): ReadonlyMap<GuestVirtual, ReadonlySet<number>> {
  const mapping = kernel.reader("inode", "i_mapping");
  const probes = new Map<GuestVirtual, Set<number>>();
  for (const { inode, offset } of uprobes(kernel, kernel.budget(), problem)) {
    const file = mapping(inode);
    probes.set(file, (probes.get(file) ?? new Set()).add(offset));
  }
  return probes;
}

type CopiedPage = { readonly address: number; readonly physical: GuestPhysical };

/** Stretches of two pages that differ. */
function differences(
  expected: Uint8Array,
  seen: Uint8Array,
  at: { readonly offset: number; readonly address: number },
): Change[] {
  if (Buffer.compare(expected, seen) === 0) return [];
  const changes: Change[] = [];
  for (let from = 0; from < PAGE_SIZE; from++) {
    if (expected[from] === seen[from]) continue;
    let to = from + 1;
    while (to < PAGE_SIZE && expected[to] !== seen[to]) to++;
    changes.push({
      offset: at.offset + from,
      address: at.address + from,
      expected: Uint8Array.from(expected.subarray(from, to)),
      seen: Uint8Array.from(seen.subarray(from, to)),
    });
    from = to;
  }
  return changes;
}

/** A debugger's, while one is attached, or a registered user probe. */
function isBreakpoint(
  { offset, seen }: Change,
  traced: boolean,
  probes: ReadonlySet<number> | undefined,
): boolean {
  if (seen.length === 1 && seen[0] === BREAKPOINT) return traced || probes?.has(offset) === true;
  // A call in place of a five-byte NOP; its distance may share bytes with that.
  for (let start = offset; start > offset - CALL_LENGTH; start--) {
    if (probes?.has(start) !== true) continue;
    return start === offset ? seen[0] === CALL : offset + seen.length <= start + CALL_LENGTH;
  }
  return false;
}

const SLOTS = 1 << 16;
const UNTOLD = 2;

/** Whether a frame is a process's own. Libraries' frames are asked for by every process. */
class AnonymousPages {
  readonly #frames: PageFrames;
  readonly #keys = new Float64Array(SLOTS).fill(-1);
  readonly #answers = new Uint8Array(SLOTS);

  constructor(frames: PageFrames) {
    this.#frames = frames;
  }

  /** Undefined where the kernel's types do not tell. */
  has(physical: GuestPhysical): boolean | undefined {
    const number = physical / PAGE_SIZE;
    const slot = number % SLOTS;
    if (this.#keys[slot] !== number) {
      this.#keys[slot] = number;
      const answer = this.#frames.isAnonymous(physical);
      this.#answers[slot] = answer === undefined ? UNTOLD : Number(answer);
    }
    const answer = this.#answers[slot];
    return answer === UNTOLD ? undefined : answer === 1;
  }
}
