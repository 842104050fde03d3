import { Budget } from "../base/budget.ts";
import { hexBytes } from "../base/hex.ts";
import type { Kernel } from "../linux/kernel.ts";
import { fileRegions } from "./file-regions.ts";
import { kernelRegions } from "./kernel-regions.ts";
import { processRegions } from "./process-regions.ts";
import { scopes } from "./region.ts";
import type { Region, Scope } from "./region.ts";
import { Windows } from "./window.ts";
import type { Window } from "./window.ts";
import type { RuleMatch, YaraRules } from "./yara.ts";

/** Where a pattern of a rule was found. */
export type PatternMatch = {
  readonly pattern: string;
  readonly length: number;
  /** The first of the bytes, in hexadecimal. */
  readonly bytes: string;
} & Readonly<Record<string, string | number>>;

/** A rule that is true of a region. */
export type ScanMatch = {
  readonly rule: string;
  readonly tags: readonly string[];
  readonly meta: object;
  readonly scope: Scope;
  readonly region: string;
  readonly pid: number | null;
  readonly comm: string | null;
  readonly matches: readonly PatternMatch[];
};

/** How much of a scope was scanned. */
export type ScopeCoverage = {
  readonly scope: Scope;
  readonly regions: number;
  /** Bytes that were in memory and were scanned. */
  readonly bytes: number;
  /** Bytes that should be in memory, and could not be read. */
  readonly unread: number;
  /** False where the time was over before, or something could not be listed. */
  readonly complete: boolean;
};

export type ScanResult = {
  readonly matches: readonly ScanMatch[];
  readonly coverage: readonly ScopeCoverage[];
  /** What could not be looked at, and why. */
  readonly problems: readonly string[];
};

export type ScanOptions = {
  readonly scopes?: readonly Scope[] | undefined;
  /** Only these processes. */
  readonly pid?: readonly number[] | undefined;
  readonly timeLimitMs: number;
};

/** A page table has at most so many entries that are worth a walk. */
const STEPS = 512_000_000;
const MAX_MATCHES = 10_000;
const MAX_PER_REGION = 1000;
const MAX_PROBLEMS = 100;
const SHOWN = 64;

/** Scans a guest's memory with rules, scope by scope, until all is scanned or the time is over. */
export function scanGuest(kernel: Kernel, rules: YaraRules, options: ScanOptions): ScanResult {
  const scan = new Scan(kernel, rules, options);
  for (const scope of options.scopes ?? scopes) scan.scope(scope);
  return scan.result();
}

class Scan {
  readonly #kernel: Kernel;
  readonly #rules: YaraRules;
  readonly #options: ScanOptions;
  readonly #budget: Budget;
  readonly #deadline: number;
  readonly #windows = new Windows();
  readonly #matches: ScanMatch[] = [];
  readonly #coverage: ScopeCoverage[] = [];
  readonly #problems = new Set<string>();
  /** Nothing of the scope at hand was left out, whether or not there was room to tell it. */
  #complete = true;

  constructor(kernel: Kernel, rules: YaraRules, options: ScanOptions) {
    this.#kernel = kernel;
    this.#rules = rules;
    this.#options = options;
    this.#budget = new Budget(STEPS, options.timeLimitMs);
    this.#deadline = performance.now() + options.timeLimitMs;
  }

  scope(scope: Scope): void {
    this.#complete = true;
    let [regions, bytes, unread] = [0, 0, 0];
    const tell = {
      problem: (reason: string) => this.#problem(reason),
      unread: (count: number) => void (unread += count),
    };
    for (const region of this.#regions(scope, tell)) {
      if (this.#isOver()) break;
      regions++;
      bytes += this.#region(region);
    }
    if (this.#isOver()) this.#problem(`the time was over before all of ${scope} was scanned`);
    if (unread > 0)
      this.#problem(`${unread} bytes of ${scope} are not in what was given of the memory`);
    this.#coverage.push({ scope, regions, bytes, unread, complete: this.#complete });
  }

  result(): ScanResult {
    return {
      matches: this.#matches,
      coverage: this.#coverage,
      problems: [...this.#problems],
    };
  }

  #regions(
    scope: Scope,
    tell: { problem(reason: string): void; unread(bytes: number): void },
  ): Iterable<Region> {
    this.#kernel.refresh();
    if (scope === "kernel") return kernelRegions(this.#kernel, this.#budget, tell);
    if (scope === "pagecache") return fileRegions(this.#kernel, tell.problem);
    return processRegions(this.#kernel, this.#options.pid, this.#budget, tell);
  }

  /** Scans one; returns how many bytes there were. */
  #region(region: Region): number {
    let bytes = 0;
    const found = new Map<string, { match: RuleMatch; places: PatternMatch[] }>();
    for (const window of this.#windows.over(region.pieces)) {
      if (this.#isOver()) break;
      bytes += window.bytes.length - window.overlap;
      for (const match of this.#rules.scan(window.bytes)) collect(found, region, window, match);
    }
    for (const { match, places } of found.values()) this.#keep(region, match, places);
    return bytes;
  }

  #keep(region: Region, match: RuleMatch, matches: readonly PatternMatch[]): void {
    if (this.#matches.length >= MAX_MATCHES) {
      return this.#problem(`more than ${MAX_MATCHES} regions match; the rest is not listed`);
    }
    this.#matches.push({
      rule: match.ruleIdentifier,
      tags: match.tags,
      meta: match.meta,
      scope: region.scope,
      region: region.name,
      pid: region.pid ?? null,
      comm: region.comm ?? null,
      matches,
    });
  }

  #isOver(): boolean {
    return performance.now() > this.#deadline;
  }

  #problem(reason: string): void {
    this.#complete = false;
    if (this.#problems.size < MAX_PROBLEMS) this.#problems.add(reason);
  }
}

/**
 * Adds what a rule found in a window to what it found in the region. Bytes that the window before
 * had too were told then; what stands in for memory that is not there is nobody's.
 */
function collect(
  found: Map<string, { match: RuleMatch; places: PatternMatch[] }>,
  region: Region,
  window: Window,
  match: RuleMatch,
): void {
  const real = match.matches.filter(
    ({ offset, length }) =>
      offset + length > window.overlap && window.isPresent(offset, Math.max(length, 1)),
  );
  // A rule may be true without a pattern; one whose patterns are all told or unreal says nothing.
  if (match.matches.length > 0 && real.length === 0) return;
  const known = found.get(match.ruleIdentifier) ?? { match, places: [] };
  found.set(match.ruleIdentifier, known);
  for (const { offset, length, identifier } of real) {
    if (known.places.length >= MAX_PER_REGION) return;
    known.places.push({
      pattern: identifier,
      length,
      bytes: hexBytes(window.bytes.subarray(offset, offset + Math.min(length, SHOWN))),
      ...region.place(window.at + offset),
    });
  }
}
