import type { GuestVirtual } from "../base/address.ts";
import type { SymbolTable } from "../formats/symbol-table.ts";
import { CodeOwners } from "./code-owner.ts";
import type { GeneratedCode } from "./generated-code.ts";
import type { Kernel } from "./kernel.ts";

/** A symbol as /proc/kallsyms lists it. */
export type KernelSymbol = {
  readonly address: GuestVirtual;
  /** As nm prints it. */
  readonly type: string;
  readonly name: string;
  /** The module that brought it, `bpf`, `__builtin__ftrace` …; undefined for the kernel's own. */
  readonly module: string | undefined;
  /** Distance to the next symbol; 0 where nobody knows. */
  readonly size: number;
  /** From the symbol to the address that was asked for; 0 where a name was. */
  readonly offset: number;
};

/** What /proc/kallsyms puts in brackets behind generated code (kernel/kallsyms.c and its users). */
const GENERATED: Readonly<Record<GeneratedCode["kind"], string>> = {
  bpf: "bpf",
  ftrace: "__builtin__ftrace",
  kprobe: "__builtin__kprobes",
  its: "its",
};

/** Finds symbols of the kernel, of its modules, and of code that it generated. */
export class SymbolSearch {
  readonly #kernel: Kernel;
  readonly #owners: CodeOwners;

  constructor(kernel: Kernel, problem: (reason: string) => void) {
    this.#kernel = kernel;
    this.#owners = new CodeOwners(kernel);
    for (const reason of this.#owners.problems) problem(reason);
  }

  /** The kernel's own symbols, ascending. */
  *ofKernel(): Generator<KernelSymbol> {
    yield* tableSymbols(this.#kernel.symbols, undefined);
  }

  /**
   * Those of modules, BPF programs, ftrace trampolines and kprobes. Init functions of modules that
   * ftrace remembers (ftrace_mod_maps) are left out: their memory was given back.
   */
  *ofModules(): Generator<KernelSymbol> {
    for (const { name, symbols } of this.#owners.modules) {
      if (symbols !== undefined) yield* tableSymbols(symbols, name);
    }
    for (const { kind, name, start, end } of this.#owners.generated) {
      const module = GENERATED[kind];
      // Classic filters have no names, and thunks are no functions.
      if (name === "bpf_classic" || kind === "its") continue;
      yield { address: start, type: "t", name, module, size: end - start, offset: 0 };
    }
  }

  /** The symbol that an address lies in, or undefined. */
  at(address: GuestVirtual): KernelSymbol | undefined {
    const module = this.#owners.moduleAt(address);
    const found = (module?.symbols ?? this.#kernel.symbols).at(address);
    const generated = this.#owners.generated.find(
      ({ start, end }) => address >= start && address < end,
    );
    if (generated === undefined) {
      return found === undefined ? undefined : { ...found, module: module?.name };
    }
    const { kind, name, start, end } = generated;
    const offset = address - start;
    return { address: start, type: "t", name, module: GENERATED[kind], size: end - start, offset };
  }

  /** Symbols whose name matches: `*` stands for any text, `?` for any character. */
  *matching(pattern: string): Generator<KernelSymbol> {
    const matches = matcher(pattern);
    for (const symbol of this.ofKernel()) if (matches(symbol.name)) yield symbol;
    for (const symbol of this.ofModules()) if (matches(symbol.name)) yield symbol;
  }
}

function* tableSymbols(table: SymbolTable, module: string | undefined): Generator<KernelSymbol> {
  for (let index = 0; index < table.size; index++) {
    const entry = table.entry(index);
    const next = table.addresses[index + 1];
    const size = next < 0 && entry.address < 0 ? next - entry.address : 0;
    yield { ...entry, module, size, offset: 0 };
  }
}

function matcher(pattern: string): (name: string) => boolean {
  if (!/[*?]/.test(pattern)) return (name) => name === pattern;
  const source = pattern.replace(/[\\^$.|+()[\]{}]/g, "\\$&").replaceAll("?", ".");
  const expression = new RegExp(`^${source.replace(/\*+/g, ".*")}$`, "s");
  return (name) => expression.test(name);
}
