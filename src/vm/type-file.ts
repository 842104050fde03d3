import { readFile } from "node:fs/promises";
import { systemCode, usageError } from "../base/errors.ts";
import { parseTypeFile } from "../formats/type-file.ts";
import type { TypeFile } from "../formats/type-file.ts";

/**
 * Reads type information that a user supplies for a kernel without BTF of its own: BTF, an ELF
 * file with a `.BTF` section, or a Volatility symbol file; also compressed with gzip, zstd or xz.
 * Throws KVMSEC_TYPES_UNREADABLE (exit status 2).
 */
export async function loadTypeFile(path: string): Promise<TypeFile> {
  const parsed = parseTypeFile(await contents(path));
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
    "KVMSEC_TYPES_UNREADABLE",
    `${path} holds no type information that can be read: ${reason}.`,
    "Give a BTF file (/sys/kernel/btf/vmlinux of the guest), a vmlinux with a .BTF section, or a Volatility symbol file (ISF).",
  );
}
