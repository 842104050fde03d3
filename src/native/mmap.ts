import koffi from "koffi";
import { libc, systemError } from "./libc.ts";

const mmap = libc.func(
  "void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)",
);
// The same call with a place that was set aside, which is a number to us.
const mmapAt = libc.func(
  "void *mmap(uintptr_t addr, size_t length, int prot, int flags, int fd, int64_t offset)",
);
const munmap = libc.func("int munmap(void *addr, size_t length)");
const madviseAt = libc.func("int madvise(uintptr_t addr, size_t length, int advice)");
const lseek = libc.func("int64_t lseek64(int fd, int64_t offset, int whence)");

const PROT_NONE = 0;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_FAILED = -1n;
const MADV_DONTNEED = 4;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** A file's bytes, mapped shared. Reading beyond a file that shrank ends the process with SIGBUS. */
export type Mapping = Disposable & {
  readonly buffer: ArrayBuffer;
  /**
   * Drops this process's page-table entries (not the data) for a range of whole pages, so that a scan
   * leaves no resident set.
   */
  forget(offset: number, size: number): void;
};

/**
 * Maps `length` bytes of an open file, read-only unless `writable`.
 * Throws KVMSEC_SYSTEM_CALL where mmap(2) fails.
 */
export function mapFile(fd: number, length: number, writable = false): Mapping {
  // Safe: the kernel picks the address, and the view ends with the mapping's length.
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address = mmap(null, length, protection, MAP_SHARED, fd, 0);
  if (failed(address)) throw systemError("mmap");
  return mappingOf(address, length);
}

function failed(address: unknown): boolean {
  return koffi.address(address) === BigInt.asUintN(64, MAP_FAILED);
}

function mappingOf(address: unknown, length: number): Mapping {
  const start = koffi.address(address);
  let mapped = true;
  return {
    buffer: koffi.view(address, length),
    forget(offset, size) {
      // Safe: MADV_DONTNEED on a shared file mapping loses no data, the next access faults it in again.
      const inside = offset >= 0 && size >= 0 && offset + size <= length;
      if (mapped && inside) madviseAt(start + BigInt(offset), size, MADV_DONTNEED);
    },
    [Symbol.dispose]() {
      // Safe only because owners drop their views with the mapping: MappedMemory empties them first.
      if (mapped) munmap(address, length);
      mapped = false;
    },
  };
}

/** So many bytes of an open file, from its first on. */
export type MappedFile = { readonly fd: number; readonly size: number };

/**
 * Maps files one behind the other into one buffer, shared and read-only. All but the last must be
 * whole pages long. Throws KVMSEC_SYSTEM_CALL where mmap(2) fails.
 */
export function mapFiles(files: readonly MappedFile[]): Mapping {
  const [only] = files;
  if (files.length === 1 && only !== undefined) return mapFile(only.fd, only.size);
  const length = files.reduce((sum, { size }) => sum + size, 0);
  // Safe: address space is set aside first, so that nothing of ours lies where the files go.
  const room = mmap(null, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (failed(room)) throw systemError("mmap");
  let at = koffi.address(room);
  for (const { fd, size } of files) {
    if (failed(mmapAt(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0))) {
      const error = systemError("mmap");
      munmap(room, length);
      throw error;
    }
    at += BigInt(size);
  }
  return mappingOf(room, length);
}

export type Extent = { readonly start: number; readonly end: number };

/**
 * The stretches of a sparse file that hold data. Touching a hole of a memfd through a mapping
 * would allocate it, which costs host memory; so scans ask first. One extent of the whole file
 * where the file system cannot tell (lseek(2), SEEK_DATA). At most `limit` extents; beyond that
 * the rest counts as data.
 */
export function dataExtents(fd: number, size: number, limit = 65_536): Extent[] {
  const extents: Extent[] = [];
  let at = 0;
  while (at < size && extents.length < limit) {
    const start = Number(lseek(fd, at, SEEK_DATA));
    if (start < 0 || start >= size)
      return extents.length === 0 && start < 0 ? wholeIfUnknown(fd, size) : extents;
    const hole = Number(lseek(fd, start, SEEK_HOLE));
    const end = hole < 0 || hole > size ? size : hole;
    extents.push({ start, end });
    at = end;
  }
  if (at < size && extents.length >= limit) extents.push({ start: at, end: size });
  return extents;
}

/** The first stretch of data at or behind `at`, as `dataExtents`; undefined where there is none. */
export function nextExtent(fd: number, at: number, size: number): Extent | undefined {
  const start = Number(lseek(fd, at, SEEK_DATA));
  if (start >= size) return undefined;
  const hole = Number(lseek(fd, Math.max(start, at), SEEK_HOLE));
  // Where neither can be asked for, all counts as data.
  if (start < 0) return hole < 0 ? { start: at, end: size } : undefined;
  return { start, end: hole < 0 || hole > size ? size : hole };
}

/** SEEK_DATA fails both for a file of holes only and where it is unsupported; SEEK_HOLE at 0 tells. */
function wholeIfUnknown(fd: number, size: number): Extent[] {
  return Number(lseek(fd, 0, SEEK_HOLE)) === 0 ? [] : [{ start: 0, end: size }];
}
