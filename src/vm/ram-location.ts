import { readFileSync, readdirSync, statSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import type { RamBlock } from "../memory/ranges.ts";
import { parseMaps } from "./process-maps.ts";
import type { HostMapping } from "./process-maps.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { isShared, matchMappings } from "./ram-mappings.ts";
import { ramParts } from "./ram-parts.ts";
import type { PluggedModule, RamPart } from "./ram-parts.ts";

export type RamKind = "memfd" | "file" | "anonymous";

/** Where a QEMU keeps its guest's RAM, or a part of it. */
export type RamLocation = {
  readonly kind: RamKind;
  readonly size: number;
  /** The first byte in QEMU's own address space. */
  readonly hostAddress: bigint;
  /** Path through which the RAM file can be opened; undefined for anonymous memory. */
  readonly path: string | undefined;
  /** Where it appears to the guest; offsets are within it. */
  readonly blocks: readonly RamBlock[];
};

/**
 * Finds the RAM of a QEMU from the host's /proc alone, without asking QEMU.
 * Throws KVMSEC_TARGET_FORBIDDEN, KVMSEC_TARGET_GONE, KVMSEC_RAM_NOT_FOUND, and KVMSEC_RAM_IN_PARTS
 * where it is made of several backends.
 */
export function locateRam(qemu: QemuProcess): RamLocation {
  const parts = locateParts(qemu);
  if (parts.length === 1) return parts[0];
  throw new KvmsecError(
    "KVMSEC_RAM_IN_PARTS",
    `The RAM of QEMU process ${qemu.pid} is made of ${parts.length} backends (NUMA or memory in slots).`,
    {
      hint: "Such a guest is looked at and captured all the same; what its end leaves is not kept.",
    },
  );
}

/**
 * Each part of a QEMU's RAM: one, or one for each NUMA node and memory module. `modules` stands in
 * for those of the command line. Throws like `locateRam`, KVMSEC_ARCHITECTURE and
 * KVMSEC_RAM_ENCRYPTED.
 */
export function locateParts(qemu: QemuProcess, modules?: readonly PluggedModule[]): RamLocation[] {
  requireX86(qemu);
  requirePlain(qemu);
  const parts = ramParts(qemu.arguments, modules);
  if (parts === undefined) throw notFound(qemu);
  const { backends } = qemu.arguments;
  const order = ({ backend }: RamPart): number =>
    backend === undefined ? backends.length : backends.indexOf(backend);
  const found = matchMappings(
    parts.toSorted((a, b) => order(a) - order(b)),
    readMaps(qemu.pid),
  );
  if (found === undefined) throw notFound(qemu);
  return parts.map((part) => {
    const mapping = found.get(part);
    if (mapping === undefined) throw notFound(qemu);
    return locationOf(qemu.pid, part, mapping);
  });
}

/** Other machines lay out their memory otherwise, and no kernel of theirs is understood. */
function requireX86({ pid, architecture = "x86_64" }: QemuProcess): void {
  if (architecture === "x86_64" || architecture === "i386") return;
  throw new KvmsecError(
    "KVMSEC_ARCHITECTURE",
    `QEMU process ${pid} runs a guest of another architecture: ${architecture}.`,
    { hint: "Only x86-64 guests are understood." },
  );
}

/** What the host reads of such a guest is ciphertext, or nothing: that is what it is for. */
function requirePlain({ pid, arguments: { encryption } }: QemuProcess): void {
  if (encryption === undefined) return;
  throw new KvmsecError(
    "KVMSEC_RAM_ENCRYPTED",
    `The memory of QEMU process ${pid} is encrypted by ${encryption}: no one outside of its guest can read it.`,
    { hint: "Such a guest cannot be watched from outside; look at it from inside." },
  );
}

function locationOf(pid: number, part: RamPart, mapping: HostMapping): RamLocation {
  const { size, blocks } = part;
  if (isShared(mapping)) {
    const path = descriptorPath(pid, mapping) ?? mapFilePath(pid, mapping);
    const kind = mapping.path.startsWith("/memfd:") ? "memfd" : "file";
    return { kind, size, hostAddress: mapping.start, path, blocks };
  }
  const hostAddress = part.hostAddress ?? mapping.end - BigInt(size);
  return { kind: "anonymous", size, hostAddress, path: undefined, blocks };
}

function readMaps(pid: number): HostMapping[] {
  try {
    return parseMaps(readFileSync(`/proc/${pid}/maps`, "utf8"));
  } catch (error) {
    throw accessError(pid, error);
  }
}

/** QEMU keeps the descriptor open; through it even an unlinked file or a memfd can be opened. */
function descriptorPath(pid: number, mapping: HostMapping): string | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`)
      .map((fd) => `/proc/${pid}/fd/${fd}`)
      .find((path) => inodeOf(path) === mapping.inode);
  } catch (error) {
    throw accessError(pid, error);
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

function mapFilePath(pid: number, { start, end }: HostMapping): string {
  return `/proc/${pid}/map_files/${start.toString(16)}-${end.toString(16)}`;
}

/** What a failed look into a process's /proc means. */
export function accessError(pid: number, error: unknown): unknown {
  const code = systemCode(error);
  if (code === "EACCES" || code === "EPERM") return forbidden(pid, code);
  if (code !== "ENOENT" && code !== "ESRCH") return error;
  return new KvmsecError("KVMSEC_TARGET_GONE", `Process ${pid} has ended.`, {
    hint: "kvmsec targets lists the guests that run.",
    cause: error,
  });
}

export function forbidden(pid: number, code: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_TARGET_FORBIDDEN",
    `The memory of process ${pid} may not be read (${code}).`,
    {
      hint: "Run kvmsec as root or as the user who runs that QEMU; for RAM that is no shared file, /proc/sys/kernel/yama/ptrace_scope must be 0 as well.",
    },
  );
}

function notFound(qemu: QemuProcess): KvmsecError {
  const { memory, backends } = qemu.arguments;
  return new KvmsecError(
    "KVMSEC_RAM_NOT_FOUND",
    `No memory of ${memory} bytes was found in QEMU process ${qemu.pid}.`,
    {
      hint: `Its command line names ${backends.length} memory backends; the RAM is none of its mappings.`,
    },
  );
}
