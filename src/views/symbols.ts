import { usageError } from "../base/errors.ts";
import { SymbolSearch } from "../linux/symbol-search.ts";
import type { KernelSymbol } from "../linux/symbol-search.ts";
import type { View } from "./view.ts";

/** Which symbols: all of the kernel's own unless `words` name some. */
export type SymbolSelection = {
  /** Names, addresses (`0x…`), or patterns with `*` and `?`. */
  readonly words?: readonly string[];
  /** With those of modules, BPF, ftrace and kprobes; names and addresses find them anyway. */
  readonly modules?: boolean;
};

const ADDRESS = /^0x([0-9a-f]{1,16})$/i;

/** The kernel's symbols, name ↔ address, as /proc/kallsyms lists them. */
export const symbols: View<KernelSymbol, SymbolSelection> = {
  schema: "kvmsec.symbols/1",
  list: "symbols",
  *read(kernel, { words = [], modules = false }, problem) {
    const search = new SymbolSearch(kernel, problem);
    if (words.length === 0) yield* search.ofKernel();
    if (words.length === 0 && modules) yield* search.ofModules();
    for (const word of words) {
      const digits = ADDRESS.exec(word)?.[1];
      const at =
        digits === undefined
          ? undefined
          : search.at(kernel.space.folding.foldBig(BigInt(`0x${digits}`)));
      const found =
        digits === undefined ? [...search.matching(word)] : at === undefined ? [] : [at];
      if (found.length === 0) throw notFound(word);
      yield* found;
    }
  },
  json: (row, kernel) => ({
    ...row,
    address: kernel.format(row.address),
    module: row.module ?? null,
    size: row.size === 0 ? null : row.size,
  }),
};

function notFound(word: string): Error {
  return usageError(
    "KVMSEC_SYMBOL_MISSING",
    ADDRESS.test(word)
      ? `No symbol of the guest's kernel holds ${word}.`
      : `The guest's kernel has no symbol ${word}.`,
    "A pattern like '*part*' finds names; quote it from the shell.",
  );
}
