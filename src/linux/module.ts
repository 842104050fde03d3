import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { builtWithout } from "./features.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";
import { ModuleMemory } from "./module-memory.ts";
import type { ModulePart } from "./module-memory.ts";
import { ModuleParameters } from "./module-parameters.ts";
import type { ModuleParameter } from "./module-parameters.ts";
import { ModuleNotes } from "./module-notes.ts";

/** A loaded module, as the kernel itself describes it. Undefined where the memory did not tell. */
export type Module = {
  readonly name: string;
  /** Where /proc/modules says it lies: the start of its text. */
  readonly base: GuestVirtual;
  /** Bytes of all its parts, those of its initialisation included while it is loading. */
  readonly size: number;
  /** As lsmod shows it: users without the module's own reference (MODULE_REF_BASE). */
  readonly refcount: number;
  readonly state: "Live" | "Loading" | "Unloading";
  /** Names of the modules that need this one. */
  readonly usedBy: readonly string[];
  /** It has no exit function, so it can never be unloaded. */
  readonly permanent: boolean;
  /** Letters as in /proc/modules: `O` out of tree, `E` unsigned, `P` proprietary … */
  readonly taints: string;
  readonly version: string | undefined;
  readonly srcversion: string | undefined;
  readonly buildId: string | undefined;
  /** Address of its init and exit functions, 0 where it has none. */
  readonly init: GuestVirtual;
  readonly exit: GuestVirtual;
  readonly parts: readonly ModulePart[];
  readonly parameters: readonly ModuleParameter[];
  /** Address of its struct module. */
  readonly module: GuestVirtual;
};

/** MODULE_NAME_LEN (include/linux/moduleparam.h) on 64-bit machines. */
const NAME_LENGTH = 56;
const VERSION_LENGTH = 64;
/** MODULE_REF_BASE (kernel/module/main.c): the reference that the module holds on itself. */
const REFERENCE_BASE = 1;
/** enum module_state (include/linux/module.h); 3 is UNFORMED, which /proc/modules leaves out. */
const STATES = ["Live", "Loading", "Unloading"] as const;
/** One letter a bit, `taint_flags` of kernel/panic.c. */
const TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ";

/** Decodes `struct module` (include/linux/module.h). */
export class Modules {
  readonly kernel: Kernel;
  readonly memory: ModuleMemory;
  readonly #notes: ModuleNotes;
  readonly #parameters: ModuleParameters;
  readonly #name: Reader;
  readonly #state: Reader;
  readonly #taints: Reader;
  readonly #init: Reader;
  readonly #version: Reader;
  readonly #srcversion: Reader;
  readonly #exit: Reader | undefined;
  readonly #references: Reader | undefined;
  readonly #users: Reader | undefined;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.memory = new ModuleMemory(kernel);
    this.#notes = new ModuleNotes(kernel);
    this.#parameters = new ModuleParameters(kernel);
    // A kernel without CONFIG_MODULES has none of the members.
    const field = (path: string): Reader => kernel.readerOrFault("module", path);
    this.#name = field("name");
    this.#state = field("state");
    this.#taints = field("taints");
    this.#init = field("init");
    this.#version = field("version");
    this.#srcversion = field("srcversion");
    // These three exist where modules can be unloaded (CONFIG_MODULE_UNLOAD).
    this.#exit = kernel.readerOf("module", "exit");
    this.#references = kernel.readerOf("module", "refcnt.counter");
    this.#users = kernel.readerOf("module", "source_list");
  }

  /**
   * Addresses of `struct module` on the list `modules`, newest first; none in a kernel that was
   * built without modules.
   */
  *list(budget: Budget, problem?: (reason: string) => void): Generator<GuestVirtual> {
    const { kernel } = this;
    if (builtWithout(kernel, "modules") !== undefined) return;
    const head = kernel.requireSymbol("modules");
    yield* listEntries(kernel, head, kernel.offset("module", "list"), budget, problem);
  }

  /** Every module that lsmod would show; one that is just going away is left out, not invented. */
  *all(budget: Budget, problem?: (reason: string) => void): Generator<Module> {
    for (const address of this.list(budget, problem)) {
      const module = this.decode(address, budget);
      if (module !== undefined) yield module;
    }
  }

  /** The module at `module`, or undefined where there is none (any more), or not yet. */
  decode(module: GuestVirtual, budget: Budget): Module | undefined {
    const name = this.name(module);
    const state = STATES[this.#state(module)];
    if (name === undefined || state === undefined) return undefined;
    const parts = this.memory.parts(module);
    const init = this.#init(module);
    const exit = this.#exit?.(module) ?? 0;
    const decoded: Module = {
      name,
      base: this.memory.base(module),
      size: parts.reduce((sum, part) => sum + part.size, 0),
      refcount: (this.#references?.(module) ?? REFERENCE_BASE) - REFERENCE_BASE,
      state,
      usedBy: this.#usedBy(module, budget),
      permanent: init !== 0 && exit === 0,
      taints: letters(this.#taints(module)),
      version: this.#text(this.#version(module)),
      srcversion: this.#text(this.#srcversion(module)),
      buildId: this.#notes.buildId(module),
      init,
      exit,
      parts,
      parameters: this.#parameters.of(module),
      module,
    };
    // Unloaded in between: what was read may be anything.
    return this.name(module) === name && decoded.base === decoded.base ? decoded : undefined;
  }

  /** Its name, or undefined where no module lies at that address. */
  name(module: GuestVirtual): string | undefined {
    const name = this.kernel.space.string(this.#name(module), NAME_LENGTH);
    return name === "" ? undefined : name;
  }

  #usedBy(module: GuestVirtual, budget: Budget): string[] {
    if (this.#users === undefined) return [];
    const { kernel } = this;
    const source = kernel.reader("module_use", "source");
    const link = kernel.offset("module_use", "source_list");
    const names: string[] = [];
    for (const use of listEntries(kernel, this.#users(module), link, budget)) {
      const name = this.name(source(use));
      if (name === undefined) break;
      names.push(name);
    }
    return names;
  }

  #text(address: GuestVirtual): string | undefined {
    return address === 0 ? undefined : this.kernel.space.string(address, VERSION_LENGTH);
  }
}

function letters(taints: number): string {
  let text = "";
  for (let bit = 0; bit < TAINT_LETTERS.length; bit++) {
    if (Math.floor(taints / 2 ** bit) % 2 === 1) text += TAINT_LETTERS[bit];
  }
  return text;
}
