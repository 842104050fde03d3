import type { GuestVirtual } from "../base/address.ts";
import { isMissing } from "../base/errors.ts";
import { Reasons } from "../base/reasons.ts";
import type { SymbolTable } from "../formats/symbol-table.ts";
import { AddressRanges } from "./address-ranges.ts";
import type { AddressRange } from "./address-ranges.ts";
import { bpfCode, bpfPacks, ftraceTrampolines, itsPages, kprobePages } from "./generated-code.ts";
import type { GeneratedCode } from "./generated-code.ts";
import { kernelSections } from "./kernel-sections.ts";
import type { KernelSection, KernelSectionName } from "./kernel-sections.ts";
import type { Kernel } from "./kernel.ts";
import { Modules } from "./module.ts";
import type { ModulePartKind } from "./module-memory.ts";
import { ModuleSymbols } from "./module-symbols.ts";

/** To whom a kernel address belongs, and what lies there. */
export type CodeOwner = {
  readonly kind: "kernel" | "module" | "freed" | GeneratedCode["kind"];
  /** `vmlinux`, a module's name, or the kind again. `freed` is what the image had for booting only. */
  readonly name: string;
  /** The section of the image or module; generated code is all `text`. */
  readonly part: KernelSectionName | ModulePartKind;
  /** The symbol that the address lies in, and how far; undefined where the owner has none there. */
  readonly symbol: string | undefined;
  readonly offset: number;
};

/** A loaded module, where it lies and its symbols, which are read when somebody asks. */
export type ModuleSpace = {
  readonly name: string;
  readonly module: GuestVirtual;
  readonly symbols: SymbolTable | undefined;
};

type ModuleRange = AddressRange & { readonly part: ModulePartKind; readonly space: ModuleSpace };

/**
 * Says whose any kernel address is: the image's, a module's, or code that the kernel wrote itself.
 * It is a picture of one moment: make a new one for each sweep. Where a list could not be read to
 * its end, `problems` says so, and an address without an owner may still have one.
 */
export class CodeOwners {
  readonly kernel: Kernel;
  readonly modules: readonly ModuleSpace[];
  readonly generated: readonly GeneratedCode[];
  readonly problems: readonly string[];
  /**
   * Those of the problems that do not pass: what this kernel keeps in a way that is not known. An
   * address without an owner proves nothing then.
   */
  readonly undecoded: readonly string[];
  readonly #sections: AddressRanges<KernelSection>;
  readonly #moduleRanges: AddressRanges<ModuleRange>;
  readonly #generated: AddressRanges<GeneratedCode>;
  readonly #packs: AddressRanges<GeneratedCode>;

  constructor(kernel: Kernel) {
    const problems = new Reasons();
    const undecoded: string[] = [];
    const problem = (reason: string) => problems.add(reason);
    const listed = <T>(what: string, list: () => Iterable<T>): T[] => {
      try {
        return [...list()];
      } catch (error) {
        if (!isMissing(error)) throw error;
        undecoded.push(`where ${what} lies is not known: ${error.message}`);
        return [];
      }
    };
    const ranges = listed("the code of modules", () => moduleRanges(kernel, problem));
    this.kernel = kernel;
    this.modules = [...new Set(ranges.map(({ space }) => space))];
    const modules = this.modules.map(({ module }) => module);
    this.generated = [
      ...listed("the code of BPF", () => bpfCode(kernel, problem)),
      ...listed("ftrace's code", () => ftraceTrampolines(kernel, problem)),
      ...listed("code that kprobes moved", () => kprobePages(kernel, problem)),
      ...listed("code against ITS", () => itsPages(kernel, modules)),
    ];
    const packs = listed("room for the code of BPF", () => bpfPacks(kernel, problem));
    this.undecoded = undecoded;
    this.problems = [...undecoded, ...problems.all];
    this.#sections = new AddressRanges(kernelSections(kernel));
    this.#moduleRanges = new AddressRanges(ranges);
    this.#generated = new AddressRanges(this.generated);
    this.#packs = new AddressRanges(packs);
  }

  /** Whose `address` is; undefined where nobody's. */
  ownerOf(address: GuestVirtual): CodeOwner | undefined {
    const section = this.#sections.at(address);
    if (section !== undefined) {
      const freed = section.name === "freed";
      const kind = freed ? "freed" : "kernel";
      return symbolOwner(
        kind,
        freed ? kind : "vmlinux",
        section.name,
        this.kernel.symbols,
        address,
      );
    }
    const range = this.#moduleRanges.at(address);
    if (range !== undefined) {
      return symbolOwner("module", range.space.name, range.part, range.space.symbols, address);
    }
    const code = this.#generated.at(address);
    if (code !== undefined) {
      const { kind, name, start } = code;
      return { kind, name: kind, part: "text", symbol: name, offset: address - start };
    }
    const pack = this.#packs.at(address);
    return pack === undefined
      ? undefined
      : { kind: "bpf", name: "bpf", part: "text", symbol: undefined, offset: address - pack.start };
  }

  /** Nobody's as far as is known, in a kernel some of whose code is kept in a way that is not known. */
  mayHaveOwner(address: GuestVirtual): boolean {
    return this.undecoded.length > 0 && this.ownerOf(address) === undefined;
  }

  /** The module that `address` lies in, init parts included. */
  moduleAt(address: GuestVirtual): ModuleSpace | undefined {
    return this.#moduleRanges.at(address)?.space;
  }

  /** As the kernel prints `%pS`: `nf_hook_entry+0x12 [nf_tables]`; a bare address where nobody owns it. */
  describe(address: GuestVirtual): string {
    const owner = this.ownerOf(address);
    if (owner === undefined) return this.kernel.format(address);
    const place = owner.kind === "kernel" ? "" : ` [${owner.name}]`;
    const symbol = owner.symbol ?? this.kernel.format(address);
    const distance =
      owner.symbol === undefined || owner.offset === 0 ? "" : `+0x${owner.offset.toString(16)}`;
    return `${symbol}${distance}${place}`;
  }
}

function symbolOwner(
  kind: CodeOwner["kind"],
  name: string,
  part: CodeOwner["part"],
  symbols: SymbolTable | undefined,
  address: GuestVirtual,
): CodeOwner {
  const found = symbols?.at(address);
  return { kind, name, part, symbol: found?.name, offset: found?.offset ?? 0 };
}

function* moduleRanges(kernel: Kernel, problem: (reason: string) => void): Generator<ModuleRange> {
  const modules = new Modules(kernel);
  const reader = new ModuleSymbols(kernel);
  const budget = kernel.budget();
  for (const module of modules.list(budget, problem)) {
    const name = modules.name(module);
    if (name === undefined) continue;
    const space = new LazyModule(name, module, reader);
    for (const { kind, base, size } of modules.memory.parts(module)) {
      yield { start: base, end: base + size, part: kind, space };
    }
  }
}

class LazyModule implements ModuleSpace {
  readonly name: string;
  readonly module: GuestVirtual;
  readonly #reader: ModuleSymbols;
  #symbols: SymbolTable | undefined;
  #read = false;

  constructor(name: string, module: GuestVirtual, reader: ModuleSymbols) {
    this.name = name;
    this.module = module;
    this.#reader = reader;
  }

  get symbols(): SymbolTable | undefined {
    if (!this.#read) this.#symbols = this.#reader.of(this.module);
    this.#read = true;
    return this.#symbols;
  }
}
