import type { GuestVirtual } from "../base/address.ts";
import { usageError } from "../base/errors.ts";
import type { Kernel } from "./kernel.ts";
import { SymbolSearch } from "./symbol-search.ts";

/** A place in the kernel that somebody named. */
export type NamedPlace = {
  readonly address: GuestVirtual;
  /** From there to the next symbol; 0 where that is not known, or a bare address was given. */
  readonly size: number;
};

const BARE = /^(?:0x)?([0-9a-f]{1,16})$/i;
const SYMBOL = /^(?:([\w-]+):)?([^\s+:-][^\s+:]*?)(?:([+-])(0x[0-9a-f]+|\d+))?$/i;

/**
 * An address as people write it: `0xffffffff81000000`, `ffffffff81000000`, `init_task`,
 * `init_task+0x10`, or `nf_tables:nft_do_chain` for a module's own.
 * Throws KVMSEC_SYMBOL_MISSING, KVMSEC_ADDRESS_INVALID (usage).
 */
export function namedPlace(kernel: Kernel, text: string): NamedPlace {
  const digits = BARE.exec(text)?.[1];
  // `add` is a number as well as a name: without 0x it has to be a whole address.
  if (digits !== undefined && (/^0x/i.test(text) || digits.length === 16)) {
    return { address: kernel.space.folding.foldBig(BigInt(`0x${digits}`)), size: 0 };
  }
  const [, module, name, sign, distance] = SYMBOL.exec(text) ?? [];
  if (name === undefined) {
    throw usageError(
      "KVMSEC_ADDRESS_INVALID",
      `"${text}" is no address.`,
      "Write 0xffffffff81000000, a symbol, or symbol+0x10.",
    );
  }
  const found = find(kernel, module, name);
  const offset = Number(distance ?? 0) * (sign === "-" ? -1 : 1);
  const size = found.size - offset;
  return { address: found.address + offset, size: offset >= 0 && size > 0 ? size : 0 };
}

function find(kernel: Kernel, module: string | undefined, name: string): NamedPlace {
  const address = kernel.symbol(name);
  if (module === undefined && address === address) {
    return { address, size: kernel.symbols.at(address)?.size ?? 0 };
  }
  const search = new SymbolSearch(kernel, () => undefined);
  for (const symbol of search.ofModules()) {
    if (symbol.name === name && (module ?? symbol.module) === symbol.module) return symbol;
  }
  throw usageError(
    "KVMSEC_SYMBOL_MISSING",
    `The guest's kernel has no symbol ${module === undefined ? name : `${name} in ${module}`}.`,
    "kvmsec symbols TARGET '*part*' finds names.",
  );
}
