import { readFile } from "node:fs/promises";
import { systemCode, usageError } from "../base/errors.ts";
import { parseSymbolFile } from "../formats/symbol-file.ts";
import type { SymbolFile } from "../formats/symbol-file.ts";

/**
 * Reads the symbols that a user supplies for a kernel without names of variables
 * (CONFIG_KALLSYMS_ALL) or without any: `vmlinux`, `System.map` or a Volatility symbol file; also
 * compressed with gzip, zstd or xz. Throws KVMSEC_SYMBOLS_UNREADABLE (exit status 2).
 */
export async function loadSymbolFile(path: string): Promise<SymbolFile> {
  const parsed = parseSymbolFile(await contents(path));
  if (parsed.ok) return parsed.file;
  throw unreadable(path, parsed.reason);
}

async function contents(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, systemCode(error) ?? String(error));
  }
}

function unreadable(path: string, reason: string): Error {
  return usageError(
    "KVMSEC_SYMBOLS_UNREADABLE",
    `${path} holds no symbols of a kernel that can be read: ${reason}.`,
    "Give the kernel's vmlinux with its symbol table, its System.map, or a Volatility symbol file (ISF).",
  );
}
