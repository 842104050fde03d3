import { KvmsecError } from "../../../src/base/errors.ts";
import { openKernel } from "../../../src/linux/discovery/open-kernel.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { TooManyReads } from "../../fixtures/copied-memory.ts";
import type { CopiedMemory } from "../../fixtures/copied-memory.ts";
import { randomNumbers } from "../../fixtures/sparse-ram.ts";
import { damagePages, damageTables, damageWords } from "./damage.ts";
import type { Random, Targets } from "./damage.ts";
import { subjects } from "./subjects.ts";
import type { Subject } from "./subjects.ts";

/**
 * Reads after which a look counts as endless: a budget is 4,000,000 steps (src/base/budget.ts), and
 * nothing is read more often than a few times in a step.
 */
const MOST_READS = 40_000_000;
/** In so many images the kernel itself is damaged and searched anew. */
const DISCOVER_EVERY = 50;

export type Fault = { readonly image: number; readonly subject: string; readonly error: string };

/** Told before each look, so that one which never ends can be named. */
export type Progress = (image: number, subject: number) => void;

/** A kernel in a copy of its guest's memory, with what each subject reads of it when all is well. */
export class MutationStand {
  readonly memory: CopiedMemory;
  readonly kernel: Kernel;
  readonly subjects: readonly Subject[];
  readonly faults: Fault[] = [];
  /** The most reads of each subject. */
  readonly most = new Map<string, number>();
  refused = 0;
  readonly #read: readonly Targets[];
  readonly #discovery: readonly Targets[];
  readonly #healthy: readonly string[];

  readonly #thin: number;

  /** Of those whose reading is not damaged, one in `thin` looks of those whose turn it is. */
  constructor(memory: CopiedMemory, thin: number) {
    this.memory = memory;
    this.#thin = thin;
    this.kernel = openKernel(memory);
    this.subjects = subjects();
    this.#read = this.subjects.map((subject) => this.#wordsReadBy(subject));
    this.#discovery = discoveryTargets(this.kernel);
    this.#healthy = this.subjects.map((subject) => subject.run(this.kernel));
  }

  /** All damage is mended: whoever now says something else than at first remembers some of it. */
  compareWithHealthy(image: number): void {
    for (const [index, { name, run }] of this.subjects.entries()) {
      if (run(this.kernel) === this.#healthy[index]) continue;
      this.faults.push({ image, subject: name, error: "it remembers damage that was mended" });
    }
  }

  /** Damages the memory as the image's number says, looks, and mends it. */
  run(image: number, progress: Progress): void {
    const next = randomNumbers(image * 2_654_435_761);
    for (let warm = 0; warm < 4; warm++) next();
    if (image % DISCOVER_EVERY === 0) this.#discover(image, next, progress);
    else this.#look(image, next, progress);
    this.memory.mend();
  }

  #look(image: number, next: Random, progress: Progress): void {
    const victim = next() % this.#read.length;
    const targets = this.#read[victim] ?? [];
    if (targets.length === 0) return;
    const kind = next() % 8;
    const tables = targets.filter((address) => address % 4096 === 0);
    if (kind === 0) damagePages(this.memory, targets, next);
    else if (kind === 1 && tables.length > 0) damageTables(this.memory, tables, next);
    else damageWords(this.memory, targets, next);
    this.#lookWith(this.kernel, image, next, progress, victim);
  }

  /** A kernel whose symbols, types or tables are damaged is refused, or what it says is nonsense. */
  #discover(image: number, next: Random, progress: Progress): void {
    const targets = this.#discovery[next() % this.#discovery.length] ?? [];
    damageWords(this.memory, targets, next);
    let kernel: Kernel | undefined;
    this.#guarded(image, "openKernel", () => {
      kernel = openKernel(this.memory);
    });
    if (kernel === undefined) this.refused++;
    else this.#lookWith(kernel, image, next, progress);
  }

  /** Whoever reads what is damaged looks, and by chance some of the others. */
  #lookWith(kernel: Kernel, image: number, next: Random, progress: Progress, victim = -1): void {
    for (const [index, subject] of this.subjects.entries()) {
      if (next() % (subject.every * this.#thin) !== 0 && index !== victim) continue;
      progress(image, index);
      this.#guarded(image, subject.name, () => void subject.run(kernel));
    }
  }

  /** A coded error is an answer; all else is a fault. */
  #guarded(image: number, subject: string, look: () => void): void {
    this.memory.reads = 0;
    this.memory.limit = MOST_READS;
    try {
      look();
    } catch (error) {
      if (!(error instanceof KvmsecError)) this.faults.push({ image, subject, error: told(error) });
    } finally {
      this.memory.limit = Number.POSITIVE_INFINITY;
      this.most.set(subject, Math.max(this.most.get(subject) ?? 0, this.memory.reads));
    }
  }

  #wordsReadBy(subject: Subject): Targets {
    this.memory.noted = new Set();
    subject.run(this.kernel);
    const words = [...this.memory.noted];
    this.memory.noted = undefined;
    return words;
  }
}

function told(error: unknown): string {
  if (error instanceof TooManyReads) return `${error.message}\n${error.stack}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Words of what discovery stands on: each kind by itself, since their sizes differ so much. */
function discoveryTargets(kernel: Kernel): Targets[] {
  const { virtual, physical, level3 } = kernel.image;
  const at = (name: string): number => kernel.symbol(name) - virtual + physical;
  const table = (start: number): number[] => words(start, start + 4096);
  const places = [
    table(level3),
    table(at("level2_kernel_pgt")),
    table(at("init_top_pgt")),
    words(at("linux_banner"), at("linux_banner") + 256),
    words(at("__start_notes"), at("__stop_notes")),
    words(at("__start_BTF"), at("__stop_BTF")),
    words(at("__start_BTF"), at("__start_BTF") + 4096),
    words(at("kallsyms_token_index"), at("kallsyms_token_index") + 512),
    words(at("kallsyms_names"), at("kallsyms_token_index")),
    words(at("kallsyms_num_syms"), at("kallsyms_num_syms") + 8),
    words(at("init_task"), at("init_task") + 4096),
  ];
  return places.filter((place) => place.length > 0 && place.every(Number.isFinite));
}

/** Some 20,000 of the 8-byte words from `start` to `end`. */
function words(start: number, end: number): number[] {
  const count = Math.floor((end - start) / 8);
  const step = Math.max(1, Math.floor(count / 20_000));
  return Array.from({ length: Math.floor(count / step) }, (_, i) => start + i * step * 8);
}
