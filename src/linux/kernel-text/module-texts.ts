import type { GuestVirtual } from "../../base/address.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { CodeOwners } from "../code-owner.ts";
import type { Kernel } from "../kernel.ts";
import type { FindModuleFile } from "../module-file.ts";
import type { Module } from "../module.ts";
import { prepareModuleCode } from "./module-code.ts";
import { ModuleText } from "./module-text.ts";

/** A module's comparison with its file, or why there is none. */
export type ModuleTextSource = { readonly text: ModuleText } | Missing;

/** `passing`: the module was met in the middle of being loaded, or what it needs was. */
type Missing = { readonly missing: string; readonly passing?: boolean };
type Known = { readonly key: string; readonly source: ModuleTextSource; readonly at: number };

/** amdgpu has 20 MiB in memory. */
const MAX_MODULE = 128 * 2 ** 20;
/** A file that was not there may come: asked for again so much later. */
const ASK_AGAIN_MS = 60_000;
/** What did not fit together at a moment when modules come and go may fit at the next. */
const TRY_AGAIN_MS = 1000;

/** The comparisons of a guest's modules with their files, each made once while the module stays. */
export class ModuleTexts {
  readonly #kernel: Kernel;
  readonly #find: FindModuleFile;
  #known = new Map<GuestVirtual, Known>();

  constructor(kernel: Kernel, find: FindModuleFile) {
    this.#kernel = kernel;
    this.#find = find;
  }

  /** For each of these modules, in their order; others are forgotten. */
  of(modules: readonly Module[], owners: CodeOwners): ModuleTextSource[] {
    const known = new Map<GuestVirtual, Known>();
    const sources = modules.map((module) => {
      const entry = this.#recall(module) ?? {
        key: keyOf(module),
        source: this.#make(module, owners),
        at: performance.now(),
      };
      known.set(module.module, entry);
      return entry.source;
    });
    this.#known = known;
    return sources;
  }

  #recall(module: Module): Known | undefined {
    const entry = this.#known.get(module.module);
    if (entry === undefined || entry.key !== keyOf(module)) return undefined;
    if ("text" in entry.source) return entry;
    const patience = entry.source.passing === true ? TRY_AGAIN_MS : ASK_AGAIN_MS;
    return performance.now() - entry.at > patience ? undefined : entry;
  }

  #make(module: Module, owners: CodeOwners): ModuleTextSource {
    if (module.buildId === undefined) return { missing: "the module has no build id" };
    if (module.size > MAX_MODULE) return { missing: "it says that it is larger than any module" };
    const file = this.#find(module.name, module.buildId);
    if ("missing" in file) return file;
    const prepared = prepareModuleCode(this.#kernel, module.module, file.bytes, (name) =>
      exportedSymbol(owners, name),
    );
    if (!prepared.ok) return { missing: `${file.from}: ${prepared.reason}`, passing: true };
    return { text: new ModuleText(this.#kernel, prepared.code, module.parts) };
  }
}

/** What makes a loaded module this one: its file, and where each part of it lies. */
function keyOf({ name, buildId, parts, init }: Module): string {
  const places = parts.map(({ kind, base, size }) => `${kind} ${base} ${size}`);
  return [name, buildId, init, ...places].join();
}

/** The symbol that a module gets for a name: the kernel's, else that of a module that exports it. */
function exportedSymbol({ kernel, modules }: CodeOwners, name: string): GuestVirtual {
  const tables = [kernel.symbols, ...modules.flatMap(({ symbols }) => symbols ?? [])];
  for (const table of tables) {
    const address = globalIn(table, name);
    if (address === address) return address;
  }
  // Until 7.0 a module's GPL exports are not told from its other symbols.
  const addresses = tables.map((table) => table.address(name));
  return addresses.find((address) => address === address) ?? Number.NaN;
}

/** Of several symbols of a name the one with a capital letter: not a file's own. */
function globalIn(table: SymbolTable, name: string): GuestVirtual {
  for (const address of table.all(name)) {
    const { first, end } = table.range(address, address + 1);
    for (let index = first; index < end; index++) {
      if (/[A-Z]/.test(table.type(index)) && table.name(index) === name) return address;
    }
  }
  return Number.NaN;
}
