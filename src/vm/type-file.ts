import { readFile } from "node:fs/promises";
import { systemCode, usageError } from "../base/errors.ts";
import { parseBtf } from "../formats/btf.ts";
import type { TypeSource } from "../formats/btf.ts";
import { elfSection, parseElf } from "../formats/elf.ts";

/**
 * Reads type information that a user supplies for a kernel without BTF of its own: a BTF file, or
 * an ELF file with a `.BTF` section. Throws KVMSEC_TYPES_UNREADABLE (exit status 2).
 */
export async function loadTypeFile(path: string): Promise<TypeSource> {
  const bytes = await contents(path);
  const parsed = parseBtf(btfOf(bytes));
  if (parsed.ok) return parsed.btf;
  throw unreadable(path, parsed.reason);
}

async function contents(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, systemCode(error) ?? String(error));
  }
}

/** The `.BTF` section of an ELF file; any other file as it is. */
function btfOf(bytes: Uint8Array): Uint8Array {
  const elf = parseElf(bytes);
  const section = elf.ok ? elfSection(bytes, elf.elf, ".BTF") : undefined;
  return section ?? bytes;
}

function unreadable(path: string, reason: string): Error {
  return usageError(
    "KVMSEC_TYPES_UNREADABLE",
    `${path} holds no type information that can be read: ${reason}.`,
    "Give a BTF file (/sys/kernel/btf/vmlinux of the guest, or pahole --btf_encode_detached), or a vmlinux with a .BTF section.",
  );
}
