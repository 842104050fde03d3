import { residentBytes } from "../arch/x86/resident.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { Files } from "./file.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { UserMemory } from "./user-memory.ts";
import { VmaLists } from "./vma-list.ts";

/** Bits of vm_flags (include/linux/mm.h), unchanged since 2.6. */
const VM_READ = 0x1;
const VM_WRITE = 0x2;
const VM_EXEC = 0x4;
const VM_MAYSHARE = 0x80;
const MAX_NAME = 255;
/** A running process changes its mappings; a moment later they stand still. */
const ATTEMPTS = 6;
/** MM_CONTEXT_HAS_VSYSCALL (arch/x86/include/asm/mmu.h). */
const HAS_VSYSCALL = 1 << 1;

/** One mapping of a process, as a line of /proc/PID/maps tells it. */
export type Mapping = {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  /** `r-xp`: read, write, execute, private or shared. */
  readonly permissions: string;
  /** Bytes from the start of the file; 0 where there is none. */
  readonly offset: number;
  /** `major:minor` in hexadecimal. */
  readonly device: string;
  readonly inode: number;
  /** A file's path, or `[heap]`, `[stack]`, `[vdso]`, `[anon:name]` …; undefined for plain memory. */
  readonly path: string | undefined;
  /** Bytes of it in RAM; only where that was asked for. */
  readonly rss?: number;
  /** The vm_area_struct. */
  readonly vma: GuestVirtual;
};

/** Decodes `struct vm_area_struct` as show_map_vma does (fs/proc/task_mmu.c). */
export class Mappings {
  readonly lists: VmaLists;
  readonly files: Files;
  readonly #kernel: Kernel;
  readonly #userMemory: UserMemory;
  readonly #flags: Reader;
  readonly #pageOffset: Reader;
  readonly #file: Reader;
  readonly #operations: Reader;
  readonly #private: Reader;
  readonly #nameFunction: Reader;
  readonly #specialName: Reader;
  readonly #anonName: Reader | undefined;
  readonly #anonNameText: number;
  readonly #anonNameShared: boolean;
  readonly #mm: Record<"brk" | "startBrk" | "startStack", Reader>;
  readonly #hasVsyscall: (mm: GuestVirtual) => boolean;
  readonly #nameFunctions = new Map<GuestVirtual, string>();

  constructor(kernel: Kernel, files = new Files(kernel)) {
    const vma = (member: string): Reader => kernel.reader("vm_area_struct", member);
    this.#kernel = kernel;
    this.files = files;
    this.lists = new VmaLists(kernel);
    this.#userMemory = new UserMemory(kernel);
    this.#flags = vma("vm_flags");
    this.#pageOffset = vma("vm_pgoff");
    this.#file = vma("vm_file");
    this.#operations = vma("vm_ops");
    this.#private = vma("vm_private_data");
    this.#nameFunction = kernel.reader("vm_operations_struct", "name");
    this.#specialName = kernel.reader("vm_special_mapping", "name");
    this.#anonName = kernel.readerOf("vm_area_struct", "anon_name");
    this.#anonNameText = kernel.types.member("anon_vma_name", "name")?.offset ?? Number.NaN;
    // Until 6.2 the name lay in a union with what only mappings of files use.
    this.#anonNameShared =
      kernel.types.member("vm_area_struct", "anon_name")?.offset ===
      kernel.types.member("vm_area_struct", "shared")?.offset;
    this.#mm = {
      brk: kernel.reader("mm_struct", "brk"),
      startBrk: kernel.reader("mm_struct", "start_brk"),
      startStack: kernel.reader("mm_struct", "start_stack"),
    };
    this.#hasVsyscall = vsyscallReader(kernel);
  }

  /**
   * All mappings of an mm_struct by rising address, with `[vsyscall]` at the end where it is. They
   * are read anew while one was freed on the way or they are not as many as `map_count` says.
   */
  all(mm: GuestVirtual, budget: Budget, problem?: (reason: string) => void): Mapping[] {
    let best: Mapping[] = [];
    for (let attempt = 0; attempt < ATTEMPTS && !budget.exhausted; attempt++) {
      if (attempt > 0) this.#kernel.lookLater(attempt, budget);
      const rows = this.lists.areas(mm, budget).map((vma) => this.decode(vma, mm));
      this.#kernel.lookAgain();
      const sound = this.#ascending(mm, rows);
      if (sound.length > best.length || attempt === 0) best = sound;
      if (sound.length === rows.length && rows.length === this.lists.count(mm)) {
        return this.#withGate(sound, mm);
      }
    }
    const count = this.lists.count(mm);
    problem?.(`of ${count} mappings at ${this.#kernel.format(mm)} ${best.length} could be read`);
    return this.#withGate(best, mm);
  }

  /** The same mappings with how much of each is in RAM, by the process's page tables. */
  withResident(mm: GuestVirtual, mappings: readonly Mapping[], budget: Budget): Mapping[] {
    const tables = this.#userMemory.space(mm)?.tables;
    return mappings.map((mapping) => ({
      ...mapping,
      rss:
        tables === undefined || mapping.start < 0
          ? Number.NaN
          : residentBytes(this.#kernel.memory, tables, mapping, budget),
    }));
  }

  /** Those that are still `mm`'s, and begin where the one before has ended, or later. */
  #ascending(mm: GuestVirtual, rows: readonly Mapping[]): Mapping[] {
    let last = 0;
    return rows.filter(({ vma, start, end }) => {
      if (!(start >= last && end > start && this.lists.belongs(vma, mm))) return false;
      if (this.lists.start(vma) !== start || this.lists.end(vma) !== end) return false;
      last = end;
      return true;
    });
  }

  /** One area; faults show as NaN. */
  decode(vma: GuestVirtual, mm: GuestVirtual): Mapping {
    const file = this.#file(vma);
    const hasFile = file < 0;
    const identity = hasFile
      ? this.files.identity(this.files.userInode(file))
      : { device: "00:00", inode: 0 };
    return {
      start: this.lists.start(vma),
      end: this.lists.end(vma),
      permissions: permissionText(this.#flags(vma)),
      offset: hasFile ? this.#pageOffset(vma) * 4096 : 0,
      ...identity,
      path: hasFile ? this.#fileName(vma, file) : this.#memoryName(vma, mm),
      vma,
    };
  }

  #fileName(vma: GuestVirtual, file: GuestVirtual): string | undefined {
    const name = this.#anonNameShared ? undefined : this.#givenName(vma);
    return name === undefined ? this.files.userPath(file) : `[anon_shmem:${name}]`;
  }

  #memoryName(vma: GuestVirtual, mm: GuestVirtual): string | undefined {
    const special = this.#specialMapping(vma);
    if (special !== undefined) return special;
    const start = this.lists.start(vma);
    const end = this.lists.end(vma);
    // vma_is_initial_heap and vma_is_initial_stack (include/linux/mm.h).
    if (start < this.#mm.brk(mm) && end > this.#mm.startBrk(mm)) return "[heap]";
    const stack = this.#mm.startStack(mm);
    if (start <= stack && end >= stack) return "[stack]";
    const name = this.#givenName(vma);
    return name === undefined ? undefined : `[anon:${name}]`;
  }

  /** The name that prctl(PR_SET_VMA_ANON_NAME) gave (since 5.17, where configured). */
  #givenName(vma: GuestVirtual): string | undefined {
    const name = this.#anonName?.(vma) ?? 0;
    return name < 0 ? this.#kernel.space.string(name + this.#anonNameText, MAX_NAME) : undefined;
  }

  /** `[vdso]`, `[vvar]` and the like have a function that tells their name (mm/mmap.c). */
  #specialMapping(vma: GuestVirtual): string | undefined {
    const operations = this.#operations(vma);
    const name = operations < 0 ? this.#nameFunction(operations) : 0;
    if (!(name < 0)) return undefined;
    const maker = this.#makerOf(name);
    if (maker === "gate_vma_name") return "[vsyscall]";
    if (maker !== "special_mapping_name") return undefined;
    return this.#kernel.space.string(this.#specialName(this.#private(vma)), MAX_NAME);
  }

  #makerOf(address: GuestVirtual): string {
    let maker = this.#nameFunctions.get(address);
    if (maker === undefined) {
      maker = this.#kernel.symbols.at(address)?.name ?? "";
      this.#nameFunctions.set(address, maker);
    }
    return maker;
  }

  #withGate(rows: Mapping[], mm: GuestVirtual): Mapping[] {
    const gate = this.#gate(mm);
    return gate === undefined ? rows : [...rows, gate];
  }

  /** get_gate_vma (arch/x86/entry/vsyscall/vsyscall_64.c): a page that is in no process's tree. */
  #gate(mm: GuestVirtual): Mapping | undefined {
    const gate = this.#kernel.symbol("gate_vma");
    const mode = this.#kernel.space.u32(this.#kernel.symbol("vsyscall_mode"));
    // Its modes are EMULATE, XONLY, NONE.
    return gate < 0 && mode < 2 && this.#hasVsyscall(mm) ? this.decode(gate, mm) : undefined;
  }
}

/** 64-bit processes have the page; `ia32_compat` became a bit of `flags` in 5.13. */
function vsyscallReader(kernel: Kernel): (mm: GuestVirtual) => boolean {
  const flags = kernel.readerOf("mm_struct", "context.flags");
  if (flags !== undefined) return (mm) => (flags(mm) & HAS_VSYSCALL) !== 0;
  const compat = kernel.readerOf("mm_struct", "context.ia32_compat");
  return (mm) => compat?.(mm) === 0;
}

function permissionText(flags: number): string {
  const letter = (bit: number, name: string): string => ((flags & bit) === 0 ? "-" : name);
  const access = letter(VM_READ, "r") + letter(VM_WRITE, "w") + letter(VM_EXEC, "x");
  return access + ((flags & VM_MAYSHARE) === 0 ? "p" : "s");
}
