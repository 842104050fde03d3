import { closeSync, openSync, readFileSync, readdirSync, statSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { MappedMemory } from "../memory/mapped-memory.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import { ProcessMemory } from "../memory/process-memory.ts";
import { parseMaps } from "./process-maps.ts";
import type { HostMapping } from "./process-maps.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { ramLayout } from "./ram-layout.ts";

export type RamKind = "memfd" | "file" | "anonymous";

/** Where a QEMU keeps its guest's RAM. */
export type RamLocation = {
  readonly kind: RamKind;
  readonly size: number;
  /** The mapping in QEMU's own address space that begins with guest-physical 0. */
  readonly hostAddress: bigint;
  /** Path through which the RAM file can be opened; undefined for anonymous memory. */
  readonly path: string | undefined;
};

/**
 * Finds the RAM of a QEMU from the host's /proc alone, without asking QEMU.
 * Throws KVMSEC_TARGET_FORBIDDEN, KVMSEC_TARGET_GONE, KVMSEC_RAM_NOT_FOUND.
 */
export function locateRam(qemu: QemuProcess): RamLocation {
  const maps = readMaps(qemu.pid);
  return locateShared(qemu, maps) ?? locateAnonymous(qemu, maps) ?? notFound(qemu);
}

/** Opens a QEMU's RAM for reading: mapped where it is a file, else copied page by page. */
export function openGuestRam(qemu: QemuProcess): PhysicalMemory {
  const ram = locateRam(qemu);
  const { machine, maxRamBelow4g } = qemu.arguments;
  const blocks = ramLayout(machine, ram.size, maxRamBelow4g);
  if (ram.path === undefined) return openAnonymous(qemu.pid, ram.hostAddress, blocks);
  const fd = open(ram.path, qemu.pid);
  const present = statSync(ram.path).size;
  if (present < ram.size) {
    closeSync(fd);
    throw new KvmsecError(
      "KVMSEC_RAM_TRUNCATED",
      `The RAM file of pid ${qemu.pid} has ${present} bytes, its guest ${ram.size}.`,
      { hint: "Somebody cut the file; the guest cannot go on either. Stop and restore it." },
    );
  }
  return new MappedMemory(ram.kind, fd, ram.size, blocks);
}

function openAnonymous(
  pid: number,
  address: bigint,
  blocks: ReturnType<typeof ramLayout>,
): PhysicalMemory {
  const memory = new ProcessMemory(pid, address, blocks);
  const reason = memory.probe();
  if (reason === undefined) return memory;
  throw forbidden(pid, reason);
}

function readMaps(pid: number): HostMapping[] {
  try {
    return parseMaps(readFileSync(`/proc/${pid}/maps`, "utf8"));
  } catch (error) {
    throw accessError(pid, error);
  }
}

function open(path: string, pid: number): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw accessError(pid, error);
  }
}

/** A file or memfd that is mapped shared in the size of the guest's memory. */
function locateShared(qemu: QemuProcess, maps: readonly HostMapping[]): RamLocation | undefined {
  const { backends, memory } = qemu.arguments;
  const size = backends[0]?.size ?? memory;
  const mapping = maps.find(
    (map) =>
      map.permissions.startsWith("rw") &&
      map.path.startsWith("/") &&
      map.offset === 0 &&
      map.size >= size,
  );
  if (mapping === undefined || mapping.permissions[3] !== "s") return undefined;
  const path = descriptorPath(qemu.pid, mapping) ?? mapFilePath(qemu.pid, mapping);
  const kind = mapping.path.startsWith("/memfd:") ? "memfd" : "file";
  return { kind, size, hostAddress: mapping.start, path };
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

/**
 * QEMU allocates RAM with a guard page behind it (util/mmap-alloc.c), so RAM is what ends where
 * an inaccessible mapping begins, even when the host merged it with a neighbour below.
 */
function locateAnonymous(qemu: QemuProcess, maps: readonly HostMapping[]): RamLocation | undefined {
  const { backends, memory } = qemu.arguments;
  const size = backends[0]?.size ?? memory;
  const candidates = maps.filter(
    (map) =>
      map.permissions.startsWith("rw") &&
      map.size >= size &&
      (map.path === "" || map.permissions[3] === "p"),
  );
  const guarded = candidates.find((map) =>
    maps.some((next) => next.start === map.end && next.permissions.startsWith("---")),
  );
  const mapping = guarded ?? candidates[0];
  if (mapping === undefined) return undefined;
  return { kind: "anonymous", size, hostAddress: mapping.end - BigInt(size), path: undefined };
}

function accessError(pid: number, error: unknown): unknown {
  const code = systemCode(error);
  if (code === "EACCES" || code === "EPERM") return forbidden(pid, code);
  if (code !== "ENOENT" && code !== "ESRCH") return error;
  return new KvmsecError("KVMSEC_TARGET_GONE", `Process ${pid} has ended.`, {
    hint: "kvmsec targets lists the guests that run.",
    cause: error,
  });
}

function forbidden(pid: number, code: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_TARGET_FORBIDDEN",
    `The memory of process ${pid} may not be read (${code}).`,
    {
      hint: "Run kvmsec as root or as the user who runs that QEMU; for RAM that is no shared file, /proc/sys/kernel/yama/ptrace_scope must be 0 as well.",
    },
  );
}

function notFound(qemu: QemuProcess): never {
  throw new KvmsecError(
    "KVMSEC_RAM_NOT_FOUND",
    `No memory of ${qemu.arguments.memory} bytes was found in QEMU process ${qemu.pid}.`,
    {
      hint: "Its RAM may be made of several backends (NUMA), which kvmsec cannot put together yet.",
    },
  );
}
