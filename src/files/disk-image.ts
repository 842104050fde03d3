import { Qcow2 } from "../formats/disk/qcow2.ts";
import { isQcow2, parseQcow2Header } from "../formats/disk/qcow2-header.ts";
import type { DiskBytes } from "../formats/disk/disk-bytes.ts";
import type { DiskFile } from "./disk-file.ts";

/** Opens the file that an image names as the one below it, or as the one with its data. */
export type FindFile = (name: string, namedBy: DiskFile) => DiskFile | string;

/** Images below one another that are followed. */
const MAX_CHAIN = 64;

/** The disk inside an image file, QCOW2 or raw, with all that lies below; or why it cannot be read. */
export function openImage(file: DiskFile, find: FindFile): DiskBytes | string {
  return open(file, find, undefined, MAX_CHAIN);
}

function open(
  file: DiskFile,
  find: FindFile,
  format: string | undefined,
  left: number,
): DiskBytes | string {
  if (left === 0) return "too many images lie below one another";
  if (format !== undefined && format !== "raw" && format !== "qcow2") {
    return `${file.path} has the format ${format}, which is not read`;
  }
  if (format === "raw" || !isQcow2(file)) return file;
  const header = parseQcow2Header(file);
  if (typeof header === "string") return `${file.path}: ${header}`;
  const { backing, dataFile } = header;
  const data = dataFile && find(dataFile.name ?? "", file);
  if (typeof data === "string") return data;
  const below = backing && openBelow(file, find, backing, left - 1);
  if (typeof below === "string") return below;
  return new Qcow2(file, header, { ...(data && { data }), ...(below && { below }) });
}

function openBelow(
  file: DiskFile,
  find: FindFile,
  { name, format }: { readonly name: string; readonly format: string | undefined },
  left: number,
): DiskBytes | string {
  const found = find(name, file);
  return typeof found === "string" ? found : open(found, find, format, left);
}

/**
 * The path in the name that an image gives another file: a path, `file:PATH`, or `json:{…}` as
 * QEMU writes it (docs/system/qemu-block-drivers). Undefined where it is no file of this host.
 */
export function pathInName(name: string): string | undefined {
  if (name.startsWith("json:")) return jsonPath(name.slice("json:".length));
  if (name.startsWith("file:")) return name.slice("file:".length);
  return /^[a-z][a-z0-9+.-]*:/i.test(name) || name === "" ? undefined : name;
}

/** The file name is at `filename`, `file.filename`, or in the object `file`. */
function jsonPath(text: string): string | undefined {
  let at: unknown;
  try {
    at = JSON.parse(text);
  } catch {
    return undefined;
  }
  for (let left = 4; left > 0 && typeof at === "object" && at !== null; left--) {
    const object = at as Record<string, unknown>;
    const found = object["filename"] ?? object["file.filename"];
    if (typeof found === "string") return found;
    at = object["file"];
  }
  return undefined;
}
