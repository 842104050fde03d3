import { closeSync, openSync, readSync, statSync, statfsSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { CopiedRam } from "../memory/copied-ram.ts";
import type { CopiedBlock, ReadRam } from "../memory/copied-ram.ts";
import { MappedMemory } from "../memory/mapped-memory.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import { ProcessReader } from "../native/process-memory.ts";
import type { QemuProcess } from "./qemu-process.ts";
import { accessError, forbidden, locateParts } from "./ram-location.ts";
import type { RamKind, RamLocation } from "./ram-location.ts";
import type { PluggedModule } from "./ram-parts.ts";

/** Magic number of statfs(2) for files whose pages are huge (include/uapi/linux/magic.h). */
const HUGETLBFS_MAGIC = 0x958458f6;

/**
 * Opens a QEMU's RAM for reading: mapped where all of it is files, else copied page by page.
 * `modules` stands in for the memory in slots that QEMU's command line names.
 */
export function openGuestRam(
  qemu: QemuProcess,
  modules?: readonly PluggedModule[],
): PhysicalMemory {
  const parts = locateParts(qemu, modules);
  using opened = new DisposableStack();
  const files = parts.map((part) => openPart(part, qemu.pid, opened));
  const kind = kindOfParts(parts);
  const mappable = files.flatMap((file) => (file?.mappable === true ? [file] : []));
  if (mappable.length === parts.length) {
    const memory = new MappedMemory(kind, mappable, joinedBlocks(parts));
    opened.move();
    return memory;
  }
  const readers = parts.map((part, index) => readerOf(part, files[index]?.fd, qemu.pid));
  const blocks = parts.flatMap((part, index) =>
    part.blocks.map((block): CopiedBlock => ({ ...block, read: readers[index] })),
  );
  const held = opened.move();
  const memory = new CopiedRam(kind, byAddress(blocks), () => held.dispose());
  if (memory.probe()) return memory;
  memory[Symbol.dispose]();
  throw forbidden(qemu.pid, "EPERM");
}

type OpenFile = { readonly fd: number; readonly size: number; readonly mappable: boolean };

function openPart(
  { path, size }: RamLocation,
  pid: number,
  opened: DisposableStack,
): OpenFile | undefined {
  const fd = path === undefined ? undefined : open(path, pid);
  if (path === undefined || fd === undefined) return undefined;
  opened.defer(() => closeSync(fd));
  const present = statSync(path).size;
  if (present >= size) {
    // Touching a huge page that is not there takes one from the pool, or ends us where there is none.
    return { fd, size, mappable: statfsSync(path).type !== HUGETLBFS_MAGIC };
  }
  throw new KvmsecError(
    "KVMSEC_RAM_TRUNCATED",
    `The RAM file of pid ${pid} has ${present} bytes, its guest ${size}.`,
    { hint: "Somebody cut the file; the guest cannot go on either. Stop and restore it." },
  );
}

function open(path: string, pid: number): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    // A mapping without a descriptor (memory-backend-ram,share=on): only root may open it.
    if (path.includes("/map_files/") && systemCode(error) === "EPERM") return undefined;
    throw accessError(pid, error);
  }
}

/** What can be said of all: memory that is private in part has to be copied. */
export function kindOfParts(parts: readonly RamLocation[]): RamKind {
  return parts.some(({ kind }) => kind === "anonymous") ? "anonymous" : parts[0].kind;
}

/** Blocks with offsets into all parts one behind the other. */
export function joinedBlocks(parts: readonly RamLocation[]): RamLocation["blocks"] {
  let base = 0;
  const blocks = parts.flatMap(({ blocks: own, size }) => {
    const shift = base;
    base += size;
    return own.map((block) => ({ ...block, offset: block.offset + shift }));
  });
  return byAddress(blocks);
}

function byAddress<Block extends { readonly start: number }>(blocks: readonly Block[]): Block[] {
  return blocks.toSorted((a, b) => a.start - b.start);
}

/** From the file where there is one: a hole in it is read as zeros, and nothing is made for it. */
function readerOf({ hostAddress }: RamLocation, fd: number | undefined, pid: number): ReadRam {
  if (fd === undefined) {
    const reader = new ProcessReader(pid);
    return (offset, target) => reader.read(hostAddress + BigInt(offset), target) === target.length;
  }
  return (offset, target) => {
    try {
      return readSync(fd, target, 0, target.length, offset) === target.length;
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      return false;
    }
  };
}
