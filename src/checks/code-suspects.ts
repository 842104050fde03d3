import type { Budget } from "../base/budget.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import { directSystemCalls, isSystemCall } from "../arch/x86/raw-code.ts";
import { elfParts, isElfProgram, wantsExecutableStack } from "../formats/elf-program.ts";
import { areaContent } from "../linux/area-content.ts";
import type { AreaPiece } from "../linux/area-content.ts";
import type { ExecutableArea } from "../linux/executable-areas.ts";
import { PageCache } from "../linux/page-cache.ts";
import { Tasks } from "../linux/task.ts";
import { UserRegisterReader } from "../linux/user-registers.ts";
import type { CheckContext } from "./check.ts";
import { explainingRuntime } from "./code-runtimes.ts";
import type { Json } from "./finding.ts";
import { mappedFiles } from "./memory-facts.ts";
import type { ProcessMemory } from "./memory-facts.ts";
import { isVolatilePath } from "./paths.ts";

const PAGE = 4096;
/** Of each area; code that somebody put there lies at its beginning, or wherever a thread waits. */
const MOST_CONTENT = 4 * 2 ** 20;
/** How far before its code a program's headers lie, when it was loaded by hand. */
const HEADERS_BEFORE = 2 ** 18;
/** Looked through in one sweep: a hostile process may map one page a million times. */
const MOST_IN_ALL = 2 ** 30;
const MOST_AREAS = 1024;
const MOST_CALLS = 8;
const SHOWN_BYTES = 32;
/** Bit of `task_struct.personality` (include/uapi/linux/personality.h). */
const READ_IMPLIES_EXEC = 0x40_0000;
/** Files that exist in memory only; what a disk cannot show. */
const MEMORY_FILE = /^\/(memfd:|dev\/zero|dev\/shm\/|SYSV|anon_hugepage)/;

/** What was seen of an area. */
export type Sign =
  | "program-image"
  | "waits-inside"
  | "system-calls"
  | "memory-library"
  | "heap"
  | "stack"
  | "unexplained";

/** An area with something wrong about it. */
export type Suspect = {
  readonly area: ExecutableArea;
  readonly path: string | undefined;
  readonly signs: readonly Sign[];
  readonly evidence: Readonly<Record<string, Json>>;
};

/** What is asked of a process for each of its areas. */
type Surroundings = {
  readonly memory: ProcessMemory;
  /** Of all files that it may execute from. */
  readonly paths: ReadonlySet<string>;
  /** Where its threads will go on. */
  readonly pointers: readonly number[];
  /** A file that is mapped asks for a stack that can be executed. */
  readonly wantsStack: boolean;
};

/** Finds what is suspicious about the executable memory of a process. */
export class SuspectFinder {
  readonly #context: CheckContext;
  readonly #tasks: Tasks;
  readonly #registers: UserRegisterReader;
  readonly #cache: PageCache;
  readonly #personality: (task: GuestVirtual) => number;
  readonly #brk: (mm: GuestVirtual) => number;
  readonly #startBrk: (mm: GuestVirtual) => number;
  readonly #budget: Budget;
  #left = MOST_IN_ALL;

  constructor(context: CheckContext) {
    const { kernel } = context;
    this.#context = context;
    this.#budget = kernel.budget();
    this.#tasks = new Tasks(kernel);
    this.#registers = new UserRegisterReader(kernel);
    this.#cache = new PageCache(kernel);
    this.#personality = kernel.reader("task_struct", "personality");
    this.#brk = kernel.reader("mm_struct", "brk");
    this.#startBrk = kernel.reader("mm_struct", "start_brk");
  }

  /** Areas that have a sign; none for a process whose memory is explained. */
  suspects(memory: ProcessMemory): Suspect[] {
    const doubtful = memory.areas.filter((area) => this.#isDoubtful(memory, area));
    if (doubtful.length === 0) return [];
    const around = this.#surroundings(memory);
    const suspects = doubtful.slice(0, MOST_AREAS).map((area) => this.#suspect(around, area));
    if (doubtful.length > MOST_AREAS || this.#left <= 0 || this.#budget.exhausted) {
      const { pid, comm } = memory.process;
      this.#context.unseen(
        `not all memory without a file of process ${pid} (${comm}) was looked at`,
      );
    }
    return suspects.filter(({ signs }) => signs.length > 0);
  }

  #surroundings(memory: ProcessMemory): Surroundings {
    const { process, areas } = memory;
    const files = new Map<string, GuestVirtual>();
    for (const area of areas) {
      const path = this.#path(area);
      if (path !== undefined && !files.has(path)) files.set(path, area.file);
    }
    const threads =
      process.threads > 1
        ? this.#tasks.threads(process.task, this.#context.kernel.budget(), (reason) =>
            this.#context.unseen(reason),
          )
        : [process.task];
    return {
      memory,
      paths: new Set(files.keys()),
      pointers: threads.map((thread) => this.#registers.of(thread)?.ip ?? 0),
      wantsStack: [...files].some(
        ([path, file]) => !isVolatilePath(path) && this.#wantsStack(file),
      ),
    };
  }

  #wantsStack(file: GuestVirtual): boolean {
    const head = this.#firstPage(file);
    return head !== undefined && wantsExecutableStack(elfParts(head) ?? []);
  }

  /** Of no file, or of one in memory that is not the program itself (vanished-program tells that). */
  #isDoubtful({ process }: ProcessMemory, area: ExecutableArea): boolean {
    if (area.special) return false;
    if (area.file === 0) return true;
    const path = this.#path(area);
    return path !== undefined && MEMORY_FILE.test(path) && path !== process.exe;
  }

  #path({ file }: ExecutableArea): string | undefined {
    return file === 0 ? undefined : this.#context.facts.get(mappedFiles).of(file)?.path;
  }

  #suspect(around: Surroundings, area: ExecutableArea): Suspect {
    const { memory } = around;
    const pieces = this.#content(memory, area, MOST_CONTENT);
    const path = this.#path(area);
    const waiting = waitingAt(around.pointers, area, pieces);
    const calls = pieces.flatMap(({ address, bytes }) =>
      directSystemCalls(bytes, MOST_CALLS).map((offset) => address + offset),
    );
    const image = path === undefined ? this.#programImage(memory, area, pieces) : undefined;
    const strong: Sign[] = [
      ...(image === undefined ? [] : (["program-image"] as const)),
      ...(waiting === undefined ? [] : (["waits-inside"] as const)),
      ...(calls.length === 0 ? [] : (["system-calls"] as const)),
      ...(path !== undefined && this.#isLibrary(area) ? (["memory-library"] as const) : []),
    ];
    const at = image?.address ?? calls[0] ?? waiting ?? pieces[0]?.address;
    return {
      area,
      path,
      signs: [...strong, ...this.#weakSigns(around, area)],
      evidence: {
        ...(waiting === undefined ? {} : { waitsAt: hex(waiting) }),
        ...(calls.length === 0 ? {} : { systemCallsAt: calls.slice(0, MOST_CALLS).map(hex) }),
        ...(at === undefined
          ? {}
          : { at: hex(at), bytes: bytesAt(image === undefined ? pieces : [image], at) }),
      },
    };
  }

  #content(
    { tables }: ProcessMemory,
    range: { readonly start: number; readonly end: number },
    most: number,
    wanted?: (physical: GuestPhysical) => boolean,
  ): readonly AreaPiece[] {
    const { kernel } = this.#context;
    const limit = Math.min(most, this.#left);
    const { pieces } = areaContent(kernel, tables, range, limit, this.#budget, wanted);
    this.#left -= pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return pieces;
  }

  /** Where a program begins: in the area, or in plain memory right before it, as its headers may. */
  #programImage(
    memory: ProcessMemory,
    area: ExecutableArea,
    pieces: readonly AreaPiece[],
  ): AreaPiece | undefined {
    const { frames } = this.#cache;
    const before = { start: Math.max(0, area.start - HEADERS_BEFORE), end: area.start };
    const own = this.#content(
      memory,
      before,
      HEADERS_BEFORE,
      (physical) => frames.isAnonymous(physical) === true,
    );
    return programStart(pieces) ?? programStart(own.filter(endsAt(area.start)));
  }

  /** A private mapping of a file in memory that begins as a library does. */
  #isLibrary({ file, shared }: ExecutableArea): boolean {
    const head = shared ? undefined : this.#firstPage(file);
    return head !== undefined && isElfProgram(head);
  }

  #firstPage(file: GuestVirtual): Uint8Array | undefined {
    const mapped = this.#context.facts.get(mappedFiles).of(file);
    const physical = mapped === undefined ? 0 : this.#cache.pageAt(mapped.mapping, 0);
    return physical > 0 ? this.#context.kernel.memory.bytes(physical, PAGE) : undefined;
  }

  #weakSigns({ memory, paths, wantsStack }: Surroundings, area: ExecutableArea): Sign[] {
    if ((this.#personality(memory.process.task) & READ_IMPLIES_EXEC) !== 0) return [];
    if (explainingRuntime(paths, area.end - area.start) !== undefined) return [];
    const { mm } = memory;
    const isHeap = area.file === 0 && area.start < this.#brk(mm) && area.end > this.#startBrk(mm);
    if (isHeap) return ["heap"];
    // Trampolines of nested functions: stacks of threads are plain memory.
    if (area.file === 0 && wantsStack) return [];
    return area.growsDown ? ["stack"] : ["unexplained"];
  }
}

/** Where a thread will go on, if that is in the area and behind a system call. */
function waitingAt(
  pointers: readonly number[],
  area: ExecutableArea,
  pieces: readonly AreaPiece[],
): number | undefined {
  return pointers.find((ip) => {
    if (ip <= area.start || ip > area.end) return false;
    const piece = pieces.find(
      ({ address, bytes }) => ip - 2 >= address && ip <= address + bytes.length,
    );
    const before = piece?.bytes.subarray(ip - 2 - piece.address, ip - piece.address);
    return before !== undefined && isSystemCall(before);
  });
}

function endsAt(address: number): (piece: AreaPiece) => boolean {
  return (piece) => piece.address + piece.bytes.length === address;
}

/** Where a page begins a program. */
function programStart(pieces: readonly AreaPiece[]): AreaPiece | undefined {
  for (const { address, bytes } of pieces) {
    for (let at = 0; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE);
      if (isElfProgram(page)) return { address: address + at, bytes: page };
    }
  }
  return undefined;
}

function bytesAt(pieces: readonly AreaPiece[], at: number): string {
  const piece = pieces.find(({ address, bytes }) => at >= address && at < address + bytes.length);
  if (piece === undefined) return "";
  const offset = at - piece.address;
  return Buffer.from(piece.bytes.subarray(offset, offset + SHOWN_BYTES)).toString("hex");
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
