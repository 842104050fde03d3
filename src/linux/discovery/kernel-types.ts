import type { AddressSpace } from "../../arch/x86/address-space.ts";
import { exitStatus, KvmsecError } from "../../base/errors.ts";
import { parseBtf } from "../../formats/btf.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { TypeFile } from "../../formats/type-file.ts";
import { Types } from "../types.ts";
import type { KernelIdentity } from "./identity.ts";

/** The kernel's BTF is 4 to 7 MB (measured on 5.10 to 7.3). */
const MAX_BTF = 64 * 2 ** 20;

type Identity = Pick<KernelIdentity, "release" | "buildId" | "banner">;

/**
 * The kernel's types: those given, else the BTF that it carries between `__start_BTF` and
 * `__stop_BTF` (include/asm-generic/vmlinux.lds.h). Any other BTF in memory, a damaged copy left
 * over from decompression or a planted one, is not looked at. Throws KVMSEC_TYPES_NOT_FOUND
 * and KVMSEC_TYPES_FOREIGN.
 */
export function loadKernelTypes(
  space: AddressSpace,
  symbols: SymbolTable,
  identity: Identity,
  given: TypeFile | undefined,
): Types {
  if (given !== undefined) return givenTypes(given, identity);
  const start = symbols.address("__start_BTF");
  const size = symbols.address("__stop_BTF") - start;
  if (!(size > 0 && size <= MAX_BTF)) throw notFound(identity, "it carries no BTF");
  const bytes = space.bytes(start, size);
  if (bytes === undefined) throw notFound(identity, "its BTF is not all in memory");
  const parsed = parseBtf(bytes);
  if (!parsed.ok) throw notFound(identity, `its BTF is damaged: ${parsed.reason}`);
  return new Types(parsed.btf);
}

/** Layouts of another build read as garbage: a file that says whose they are is taken at its word. */
function givenTypes({ types, buildId, banner }: TypeFile, identity: Identity): Types {
  const otherId = identity.buildId !== undefined && buildId !== undefined;
  const isOther = otherId
    ? buildId !== identity.buildId
    : banner !== undefined && banner.trimEnd() !== identity.banner;
  if (!isOther) return new Types(types);
  throw new KvmsecError(
    "KVMSEC_TYPES_FOREIGN",
    `The given types are those of ${otherId ? `build id ${buildId}` : JSON.stringify(banner)}, but the guest runs ${identity.release}, build id ${identity.buildId ?? "unknown"}.`,
    { hint: "Give the types of the very build that the guest runs.", exit: exitStatus.usage },
  );
}

function notFound(identity: Identity, why: string): KvmsecError {
  const id = identity.buildId === undefined ? "" : ` (build id ${identity.buildId})`;
  return new KvmsecError(
    "KVMSEC_TYPES_NOT_FOUND",
    `The structure layouts of kernel ${identity.release}${id} cannot be had: ${why}.`,
    {
      hint: "Give --types with that kernel's BTF (pahole -J --btf_encode_detached), its vmlinux with debug information turned to BTF, or a Volatility ISF file.",
    },
  );
}
