import { parseTypeFile } from "../formats/type-file.ts";
import type { TypeFile } from "../formats/type-file.ts";
import { suppliedFile } from "./supplied-file.ts";

/**
 * Reads type information that a user supplies for a kernel without BTF of its own: BTF, an ELF
 * file with a `.BTF` section, or a Volatility symbol file; also compressed with gzip, zstd or xz.
 * Throws KVMSEC_TYPES_UNREADABLE (exit status 2).
 */
export function loadTypeFile(path: string): Promise<TypeFile> {
  return suppliedFile(path, {
    code: "KVMSEC_TYPES_UNREADABLE",
    holds: "type information",
    hint: "Give a BTF file (/sys/kernel/btf/vmlinux of the guest), a vmlinux with a .BTF section, or a Volatility symbol file (ISF).",
    parse: parseTypeFile,
  });
}
