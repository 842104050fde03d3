import { readFileSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { DiskBytes } from "../formats/disk/disk-bytes.ts";
import { isQcow2, parseQcow2Header } from "../formats/disk/qcow2-header.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import { DiskFile, fileIdentity } from "./disk-file.ts";
import { openImage, pathInName } from "./disk-image.ts";
import type { FindFile } from "./disk-image.ts";

/** A disk as its guest sees it. */
export type GuestDisk = { readonly path: string; readonly bytes: DiskBytes };

/** Nothing smaller is a disk with a system on it. */
const MIN_DISK = 2 ** 20;
const MAX_FILES = 4096;

/** Disks that are open for reading until this is disposed of. */
export class GuestDisks implements Disposable {
  readonly disks: GuestDisk[] = [];
  /** Why others could not be read. */
  readonly problems: string[] = [];
  readonly #files: DiskFile[] = [];

  /**
   * The disks of a running QEMU: the files that it has open, read through /proc/PID/fd, so that
   * neither their names nor its namespaces matter. Only files that QEMU itself has open are read,
   * whatever a guest writes into its disk's first sectors.
   */
  static ofProcess({ pid, arguments: args }: QemuProcess): GuestDisks {
    const found = new GuestDisks();
    const ram = new Set(args.backends.flatMap(({ path }) => identityOf(path) ?? []));
    let names: string[] = [];
    try {
      names = readdirSync(`/proc/${pid}/fd`);
    } catch (error) {
      found.problems.push(`the files that QEMU has open cannot be seen (${systemCode(error)})`);
    }
    for (const name of names.slice(0, MAX_FILES)) found.#openDescriptor(pid, name, ram);
    found.#files.sort(asOnCommandLine(pid));
    found.#openAll((name, namedBy) => found.#findOpen(pid, name, namedBy));
    if (found.disks.length === 0 && found.problems.length === 0) {
      found.problems.push("its QEMU has no disk open that is a file or a device of this host");
    }
    return found;
  }

  /** Image files that the user named; what lies below one is found as QEMU would find it. */
  static ofFiles(paths: readonly string[]): GuestDisks {
    const found = new GuestDisks();
    for (const path of paths) {
      const file = found.#open(path);
      if (typeof file === "string") found.problems.push(file);
    }
    found.#openAll((name, namedBy) => found.#findFile(name, namedBy));
    return found;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
  }

  #openDescriptor(pid: number, name: string, ram: ReadonlySet<string>): void {
    const link = `/proc/${pid}/fd/${name}`;
    try {
      const path = readlinkSync(link);
      const stat = statSync(link);
      const isDisk = stat.isBlockDevice() || (stat.isFile() && stat.size >= MIN_DISK);
      const identity = fileIdentity(stat);
      if (!isDisk || !isAbsolute(path) || path.startsWith("/memfd:") || ram.has(identity)) return;
      if (this.#files.some((file) => file.identity === identity)) return;
      this.#files.push(DiskFile.open(link, path.replace(/ \(deleted\)$/, "")));
    } catch (error) {
      // Closed meanwhile, or not ours to read.
      if (systemCode(error) !== "ENOENT") this.problems.push(`${link}: ${systemCode(error)}`);
    }
  }

  #open(path: string): DiskFile | string {
    try {
      const file = DiskFile.open(path, path);
      this.#files.push(file);
      return file;
    } catch (error) {
      return `${path}: ${systemCode(error) ?? String(error)}`;
    }
  }

  /** Every file is a disk that is not below another. */
  #openAll(find: FindFile): void {
    const lower = new Set<DiskFile>();
    const files = [...this.#files];
    for (const file of files) {
      const header = isQcow2(file) ? parseQcow2Header(file) : "";
      if (typeof header === "string") continue;
      for (const name of [header.backing?.name, header.dataFile?.name]) {
        const found = name === undefined ? "" : find(name, file);
        if (typeof found !== "string") lower.add(found);
      }
    }
    for (const file of files.filter((one) => !lower.has(one))) {
      const bytes = openImage(file, find);
      if (typeof bytes === "string") this.problems.push(bytes);
      else this.disks.push({ path: file.path, bytes });
    }
  }

  #findOpen(pid: number, name: string, namedBy: DiskFile): DiskFile | string {
    const path = pathInName(name);
    if (path === undefined) return `${namedBy.path} stands on ${name}, which is no file`;
    const full = resolve(dirname(namedBy.path), path);
    const identity = identityOf(join(`/proc/${pid}/root`, full));
    const found = this.#files.find((file) => file.identity === identity || file.path === full);
    return found ?? `${namedBy.path} stands on ${full}, which QEMU has not open`;
  }

  #findFile(name: string, namedBy: DiskFile): DiskFile | string {
    const path = pathInName(name);
    if (path === undefined) return `${namedBy.path} stands on ${name}, which is no file`;
    const full = resolve(dirname(namedBy.path), path);
    const identity = identityOf(full);
    const known = this.#files.find((file) => file.identity === identity);
    if (known !== undefined) return known;
    // An image that somebody else made must not lead to this host's own disks.
    if (identity?.startsWith("device") === true) return `${full} is a device of this host`;
    return this.#open(full);
  }
}

/** The order in which QEMU was told of them, so that numbers stay the same; then by name. */
function asOnCommandLine(pid: number): (a: DiskFile, b: DiskFile) => number {
  let words = "";
  try {
    words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // It has ended: any order will do.
  }
  const place = ({ path }: DiskFile): number => {
    const at = words.indexOf(path);
    return at < 0 ? words.length : at;
  };
  return (a, b) => place(a) - place(b) || (a.path < b.path ? -1 : 1);
}

function identityOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return fileIdentity(statSync(path));
  } catch {
    return undefined;
  }
}
