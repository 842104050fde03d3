import { ROOT_INODE } from "../formats/ext/file-system.ts";
import type { ExtFileSystem } from "../formats/ext/file-system.ts";
import type { ExtInode } from "../formats/ext/inode.ts";
import type { FileBytes, FileEntry, FileTree } from "./file-tree.ts";

/** MAXSYMLINKS (include/linux/namei.h). */
const MAX_LINKS = 40;
const MAX_COMPONENTS = 2048;
const MAX_ENTRIES = 1_000_000;

/** An ext file system as files under paths; links lead from its own root. */
export class ExtTree implements FileTree {
  readonly name: string;
  readonly fileSystem: ExtFileSystem;

  constructor(name: string, fileSystem: ExtFileSystem) {
    this.name = name;
    this.fileSystem = fileSystem;
  }

  /** The file at a path, or why there is none. The last component's link is followed if asked. */
  find(path: string, followLast = true): ExtInode | string {
    const root = this.fileSystem.inode(ROOT_INODE);
    if (root === undefined) return "its root cannot be read";
    /** The directories from the root to where we are. */
    const trail: ExtInode[] = [root];
    const left = parts(path);
    let links = 0;
    for (let steps = 0; left.length > 0; steps++) {
      if (steps === MAX_COMPONENTS) return "its path is too long";
      const part = left.shift()!;
      if (part === "..") {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const found = this.#child(trail.at(-1)!, part);
      if (typeof found === "string") return found;
      if (found.type !== "symlink" || (left.length === 0 && !followLast)) {
        trail.push(found);
        continue;
      }
      const target = this.fileSystem.link(found);
      if (target === undefined || ++links > MAX_LINKS)
        return "a link in its path cannot be followed";
      if (target.startsWith("/")) trail.length = 1;
      left.unshift(...parts(target));
    }
    return trail.at(-1)!;
  }

  /** A file with room that was not written yet is refused: it is on its way to the disk. */
  read(path: string, limit: number): FileBytes {
    const inode = this.find(path);
    if (typeof inode === "string") return { missing: inode };
    if (inode.type !== "file") return { missing: "it is no file" };
    if (inode.size > limit) return { missing: `it has ${inode.size} bytes` };
    const chunks: Uint8Array[] = [];
    let problem: string | undefined;
    for (const piece of this.fileSystem.pieces(inode, (reason) => (problem = reason))) {
      const { bytes, length } = piece;
      if (bytes === "unwritten") return { missing: "part of it was not written to the disk" };
      chunks.push(bytes === "hole" ? new Uint8Array(length) : bytes);
    }
    return problem === undefined ? { bytes: Buffer.concat(chunks) } : { missing: problem };
  }

  list(path: string): FileEntry[] | undefined {
    const directory = this.find(path);
    if (typeof directory === "string" || directory.type !== "directory") return undefined;
    const found: FileEntry[] = [];
    for (const { name, inode } of this.fileSystem.entries(directory, () => {})) {
      if (name === "." || name === "..") continue;
      found.push({ name, folder: this.fileSystem.inode(inode)?.type === "directory" });
      if (found.length === MAX_ENTRIES) break;
    }
    return found;
  }

  #child(directory: ExtInode, wanted: string): ExtInode | string {
    if (directory.type !== "directory") return "there is no such file";
    let problem: string | undefined;
    for (const { name, inode } of this.fileSystem.entries(directory, (told) => (problem = told))) {
      if (name === wanted) return this.fileSystem.inode(inode) ?? "its inode cannot be read";
    }
    return problem ?? "there is no such file";
  }
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
