/** A file's bytes, or why they could not be had. */
export type FileBytes = { readonly bytes: Uint8Array } | { readonly missing: string };

/** What is said of a path that leads nowhere. */
export const NO_FILE = "there is no such file";

/** Files under paths: a folder of the host, or a file system on a guest's disk. Never throws. */
export interface FileTree {
  /** What it is, for people. */
  readonly name: string;
  /** The whole file at a path from the root, following symbolic links; refused beyond `limit` bytes. */
  read(path: string, limit: number): FileBytes;
  /** What a folder holds, without `.` and `..`; undefined where there is no such folder. */
  list(path: string): readonly FileEntry[] | undefined;
}

export type FileEntry = { readonly name: string; readonly folder: boolean };

/** Files below a folder that are walked at most. */
const MAX_WALKED = 65_536;

/** Paths of the files below a folder, the folder's own first; some may be missing in a huge tree. */
export function* filesBelow(tree: FileTree, folder: string): Generator<string> {
  const folders = [folder];
  let left = MAX_WALKED;
  for (let at = folders.shift(); at !== undefined; at = folders.shift()) {
    for (const { name, folder: isFolder } of tree.list(at) ?? []) {
      if (left-- === 0) return;
      const path = `${at}/${name}`;
      if (isFolder) folders.push(path);
      else yield path;
    }
  }
}
