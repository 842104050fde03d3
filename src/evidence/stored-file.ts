import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
} from "node:fs";
import { join } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import { writeSparse } from "../memory/sparse-write.ts";
import { dataExtents } from "../native/mmap.ts";
import { unpackFile } from "./packing.ts";
import type { TakeContent } from "./packing.ts";
import { storedName } from "./storage.ts";

const PIECE = 4 * 2 ** 20;

/**
 * Gives the content of a package's file to `take`, packed or not, piece by piece; holes are left
 * out where the file has any. Returns its size. Throws KVMSEC_EVIDENCE_CHANGED where it cannot be
 * unpacked. Whether it is what was signed is for `verifyPackage` to say.
 */
export async function eachStored(folder: string, path: string, take: TakeContent): Promise<number> {
  const place = join(folder, path);
  if (existsSync(place)) return eachPlain(place, take);
  const { content } = await unpackFile(join(folder, storedName(path)), take);
  if (content !== undefined) return content.size;
  throw new KvmsecError(
    "KVMSEC_EVIDENCE_CHANGED",
    `${storedName(path)} of ${folder} cannot be unpacked: it was damaged.`,
    { hint: `kvmsec evidence verify ${folder} names all that was changed.`, exit: 1 },
  );
}

function eachPlain(path: string, take: TakeContent): number {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(PIECE);
    for (const { start, end } of dataExtents(fd, size)) {
      for (let at = start; at < end;) {
        const got = readSync(fd, buffer, 0, Math.min(PIECE, end - at), at);
        // It was cut short while it was read.
        if (got === 0) return at;
        take(buffer.subarray(0, got), at);
        at += got;
      }
    }
    return size;
  } finally {
    closeSync(fd);
  }
}

/** Copies a file of a package, packed or not; the file system shares the blocks where it can, zeros become holes. */
export async function copyStored(folder: string, path: string, target: string): Promise<void> {
  const place = join(folder, path);
  try {
    const how = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE;
    return copyFileSync(place, target, how);
  } catch {
    // It is packed, or lies on another file system.
  }
  const fd = openSync(target, "wx", 0o600);
  try {
    const size = await eachStored(folder, path, (bytes, at) => void writeSparse(fd, bytes, at));
    ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}
