import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import { builtWithout } from "./features.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** What lies in a part of a module; the names of `enum mod_mem_type` (include/linux/module.h). */
export type ModulePartKind = (typeof KINDS)[number];

/** A stretch of a module's memory with one kind of content. */
export type ModulePart = {
  readonly kind: ModulePartKind;
  readonly base: GuestVirtual;
  readonly size: number;
};

const KINDS = [
  "text",
  "data",
  "rodata",
  "ro_after_init",
  "init_text",
  "init_data",
  "init_rodata",
] as const;

/** Largest part that is believed; the whole module area has 1.5 GiB (MODULES_LEN). */
const MAX_PART = 2 ** 30;

/**
 * Where a module's parts lie. Since 6.4 each has memory of its own (`mem`, ac3b43283923); before,
 * a core and an init block are each divided by running sizes.
 */
export class ModuleMemory {
  /** The address that /proc/modules shows. */
  readonly base: Reader;
  /** Parts that have a size; those of the initialisation vanish once it is over. */
  readonly parts: (module: GuestVirtual) => ModulePart[];

  constructor(kernel: Kernel) {
    if (kernel.types.has("module", "mem")) {
      const text = kernel.types.enumerator("mod_mem_type", "MOD_TEXT") ?? 0;
      this.base = kernel.reader("module", `mem[${text}].base`);
      this.parts = separateParts(kernel);
    } else if (builtWithout(kernel, "modules") !== undefined) {
      this.base = () => FAULT;
      this.parts = () => [];
    } else {
      this.base = kernel.reader("module", "core_layout.base");
      const core = layoutParts(kernel, "core_layout", KINDS.slice(0, 4));
      const init = layoutParts(kernel, "init_layout", ["init_text", "init_data", "init_rodata"]);
      this.parts = (module) => [...core(module), ...init(module)];
    }
  }
}

function separateParts(kernel: Kernel): (module: GuestVirtual) => ModulePart[] {
  const readers = KINDS.flatMap((kind) => {
    const index = kernel.types.enumerator("mod_mem_type", `MOD_${kind.toUpperCase()}`);
    if (index === undefined) return [];
    const base = kernel.reader("module", `mem[${index}].base`);
    return [{ kind, base, size: kernel.reader("module", `mem[${index}].size`) }];
  });
  return (module) =>
    readers
      .map(({ kind, base, size }) => ({ kind, base: base(module), size: size(module) }))
      .filter(plausible);
}

/** `struct module_layout`: text, rodata and ro_after_init end at running sizes, data is the rest. */
function layoutParts(
  kernel: Kernel,
  layout: string,
  [text, data, rodata, afterInit]: readonly ModulePartKind[],
): (module: GuestVirtual) => ModulePart[] {
  const base = kernel.reader("module", `${layout}.base`);
  const endOf = (member: string): Reader => kernel.reader("module", `${layout}.${member}`);
  const ends = [
    { kind: text, end: endOf("text_size") },
    { kind: rodata, end: endOf("ro_size") },
    { kind: afterInit, end: endOf("ro_after_init_size") },
    { kind: data, end: endOf("size") },
  ].filter((each) => each.kind !== undefined);
  return (module) => {
    const start = base(module);
    let done = 0;
    const parts = ends.map(({ kind, end }): ModulePart => {
      // A running size of 0 says that there is no such part.
      const from = done;
      done = Math.max(done, end(module));
      return { kind, base: start + from, size: done - from };
    });
    return parts.filter(plausible);
  };
}

function plausible({ base, size }: ModulePart): boolean {
  return base === base && base !== 0 && size > 0 && size <= MAX_PART;
}
