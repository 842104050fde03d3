import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** No manifest, signature or record of storage is longer. */
const MAX_DOCUMENT = 64 * 2 ** 20;

/**
 * Reads a document of a package that anybody may have made: a link would lead elsewhere, a pipe
 * would never end. Throws as `readFileSync` does, with ELOOP for a link, and where it is no file.
 */
export function readDocument(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error("it is no file");
    if (stat.size > MAX_DOCUMENT) throw new Error("it is too long");
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
