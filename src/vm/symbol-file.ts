import { parseSymbolFile } from "../formats/symbol-file.ts";
import type { SymbolFile } from "../formats/symbol-file.ts";
import { suppliedFile } from "./supplied-file.ts";

/**
 * Reads the symbols that a user supplies for a kernel without names of variables
 * (CONFIG_KALLSYMS_ALL) or without any: `vmlinux`, `System.map` or a Volatility symbol file; also
 * compressed with gzip, zstd or xz. Throws KVMSEC_SYMBOLS_UNREADABLE (exit status 2).
 */
export function loadSymbolFile(path: string): Promise<SymbolFile> {
  return suppliedFile(path, {
    code: "KVMSEC_SYMBOLS_UNREADABLE",
    holds: "symbols of a kernel",
    hint: "Give the kernel's vmlinux with its symbol table, its System.map, or a Volatility symbol file (ISF).",
    parse: parseSymbolFile,
  });
}
