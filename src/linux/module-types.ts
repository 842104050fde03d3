import type { GuestVirtual } from "../base/address.ts";
import { Btf, parseBtf } from "../formats/btf.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { memberReader } from "./member-reader.ts";
import type { Reader } from "./member-reader.ts";
import { Types } from "./types.ts";

/** The largest module BTF of Debian's kernels is under 1 MB (amdgpu, measured on 6.12). */
const MAX_MODULE_BTF = 16 * 2 ** 20;
const MODULE_NAME_LEN = 56;

/** Where the kernel keeps a module's BTF; the same three values mean the same content. */
type BtfPlace = {
  readonly data: GuestVirtual;
  readonly size: number;
  readonly id: number;
};

type Cached = BtfPlace & { readonly result: Types | string };

/** Modules' types outlive one view: parsing a large one takes milliseconds. */
const cache = new WeakMap<Kernel, Map<string, Cached>>();

/**
 * Types that a module defines itself, on top of the kernel's: its split BTF, which the kernel
 * keeps on the list `btf_modules` (kernel/bpf/btf.c, since 5.11) after `module.btf_data` is gone.
 * The list is read when this is made, each BTF when its module is asked for.
 */
export class ModuleTypes {
  readonly #kernel: Kernel;
  readonly #places = new Map<string, BtfPlace>();
  readonly #cached: Map<string, Cached>;
  /** Why there is nothing to find, for all modules; undefined where the list could be read. */
  readonly reason: string | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#cached = cache.get(kernel) ?? new Map<string, Cached>();
    cache.set(kernel, this.#cached);
    this.reason = this.#readList();
  }

  /** Names of the modules that brought types with them. */
  names(): string[] {
    return [...this.#places.keys()];
  }

  /** The kernel's types and the module's own, or why they cannot be had. */
  of(module: string): Types | string {
    const place = this.#places.get(module);
    if (place === undefined) return this.reason ?? `module ${module} has no BTF in the kernel`;
    const known = this.#cached.get(module);
    if (known?.data === place.data && known.size === place.size && known.id === place.id) {
      return known.result;
    }
    const result = this.#load(place);
    this.#cached.set(module, { ...place, result });
    return result;
  }

  /**
   * A compiled reader as `Kernel.reader`, of a struct that the module defines; undefined where the
   * module's types cannot be had or lack the member.
   */
  reader(module: string, struct: string, path: string): Reader | undefined {
    const types = this.of(module);
    const member = typeof types === "string" ? undefined : types.member(struct, path);
    if (typeof types === "string" || member === undefined) return undefined;
    return memberReader(this.#kernel.space, types.source, member);
  }

  #readList(): string | undefined {
    const kernel = this.#kernel;
    const head = kernel.symbol("btf_modules");
    // The list and the member came together, with modules' BTF, in 5.11.
    if (head !== head || !kernel.types.has("btf_module", "btf")) {
      return "this kernel keeps no BTF of its modules";
    }
    if (!(kernel.types.source instanceof Btf)) return "modules' BTF needs the kernel's own BTF";
    const btf = kernel.reader("btf_module", "btf");
    const name = kernel.offset("btf", "name");
    const data = kernel.reader("btf", "data");
    const size = kernel.reader("btf", "data_size");
    const id = kernel.reader("btf", "id");
    let problem: string | undefined;
    const link = kernel.offset("btf_module", "list");
    const entries = listEntries(kernel, head, link, kernel.budget(), (why) => (problem = why));
    for (const entry of entries) {
      const at = btf(entry);
      const module = kernel.space.string(at + name, MODULE_NAME_LEN);
      if (module === undefined || module === "") continue;
      this.#places.set(module, { data: data(at), size: size(at), id: id(at) });
    }
    return problem;
  }

  #load({ data, size }: BtfPlace): Types | string {
    const base = this.#kernel.types.source;
    if (!(base instanceof Btf)) return "modules' BTF needs the kernel's own BTF";
    if (!(size > 0 && size <= MAX_MODULE_BTF)) return `its BTF cannot be ${size} bytes long`;
    const bytes = this.#kernel.space.bytes(data, size);
    if (bytes === undefined) return "its BTF is not all in memory";
    const parsed = parseBtf(bytes, base);
    return parsed.ok ? new Types(parsed.btf) : `its BTF is damaged: ${parsed.reason}`;
  }
}
