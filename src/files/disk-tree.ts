import type { FileSystem } from "../formats/disk/file-system.ts";
import type { DiskInode } from "../formats/disk/file-system.ts";
import { NO_FILE } from "./file-tree.ts";
import type { FileBytes, FileEntry, FileTree } from "./file-tree.ts";

/** A file, and the file system that it is on. */
export type FoundFile = { readonly fileSystem: FileSystem; readonly inode: DiskInode };

/** MAXSYMLINKS (include/linux/namei.h). */
const MAX_LINKS = 40;
const MAX_COMPONENTS = 2048;
const MAX_ENTRIES = 200_000;

/** Files under paths of a file system, or of several that are mounted upon one another. */
export class DiskTree implements FileTree {
  readonly name: string;
  /** That of the root. */
  readonly fileSystem: FileSystem;
  readonly #mounts: ReadonlyMap<string, FileSystem>;

  /** `mounts`: what is mounted upon it, by the path where it is seen. */
  constructor(
    name: string,
    fileSystem: FileSystem,
    mounts: ReadonlyMap<string, FileSystem> = new Map(),
  ) {
    this.name = name;
    this.fileSystem = fileSystem;
    this.#mounts = mounts;
  }

  /** The file at a path, or why there is none. A link at its end is followed unless told not to. */
  find(path: string, followLast = true): FoundFile | string {
    const root = rootOf(this.fileSystem);
    if (root === undefined) return "its root cannot be read";
    /** The names from the root to where we are, and the file at each of them. */
    const names: string[] = [];
    const trail: FoundFile[] = [root];
    const left = parts(path);
    let links = 0;
    for (let steps = 0; left.length > 0; steps++) {
      if (steps === MAX_COMPONENTS) return "its path is too long";
      const part = left.shift()!;
      if (part === "..") {
        if (names.pop() !== undefined) trail.pop();
        continue;
      }
      const found = child(trail.at(-1)!, part);
      if (typeof found === "string") return found;
      if (found.inode.type === "symlink" && (left.length > 0 || followLast)) {
        const target = found.fileSystem.link(found.inode);
        if (target === undefined || ++links > MAX_LINKS)
          return "a link in its path cannot be followed";
        if (target.startsWith("/")) names.length = 0;
        trail.length = names.length + 1;
        left.unshift(...parts(target));
        continue;
      }
      names.push(part);
      trail.push(rootOf(this.#mounts.get(`/${names.join("/")}`)) ?? found);
    }
    return trail.at(-1)!;
  }

  /** A file with room that was not written yet is refused: it is on its way to the disk. */
  read(path: string, limit: number): FileBytes {
    const found = this.find(path);
    if (typeof found === "string") return { missing: found };
    const { fileSystem, inode } = found;
    if (inode.type !== "file") return { missing: "it is no file" };
    if (inode.size > limit) return { missing: `it has ${inode.size} bytes` };
    const chunks: Uint8Array[] = [];
    let problem: string | undefined;
    for (const { bytes, length } of fileSystem.pieces(inode, (reason) => (problem = reason))) {
      if (bytes === "unwritten") return { missing: "part of it was not written to the disk" };
      chunks.push(bytes === "hole" ? new Uint8Array(length) : bytes);
    }
    return problem === undefined ? { bytes: Buffer.concat(chunks) } : { missing: problem };
  }

  list(path: string): FileEntry[] | undefined {
    const found = this.find(path);
    if (typeof found === "string" || found.inode.type !== "directory") return undefined;
    const entries = directoryOf(found, () => {});
    return entries.map(({ name, inode }) => ({ name, folder: inode?.type === "directory" }));
  }
}

function rootOf(fileSystem: FileSystem | undefined): FoundFile | undefined {
  const inode = fileSystem?.inode(fileSystem.root);
  return fileSystem && inode && { fileSystem, inode };
}

export type DirectoryEntry = { readonly name: string; readonly inode: DiskInode | undefined };

/** What a directory holds, without `.` and `..`; an inode that cannot be read is undefined. */
export function directoryOf(
  { fileSystem, inode: directory }: FoundFile,
  problem: (reason: string) => void,
): DirectoryEntry[] {
  const found: DirectoryEntry[] = [];
  for (const { name, inode } of fileSystem.entries(directory, problem)) {
    if (name === "." || name === "..") continue;
    found.push({ name, inode: fileSystem.inode(inode) });
    if (found.length === MAX_ENTRIES) break;
  }
  return found;
}

function child({ fileSystem, inode: directory }: FoundFile, wanted: string): FoundFile | string {
  if (directory.type !== "directory") return NO_FILE;
  let problem: string | undefined;
  for (const { name, inode } of fileSystem.entries(directory, (told) => (problem = told))) {
    if (name !== wanted) continue;
    const found = fileSystem.inode(inode);
    return found === undefined ? "its inode cannot be read" : { fileSystem, inode: found };
  }
  return problem ?? NO_FILE;
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
