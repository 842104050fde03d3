import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { systemCode } from "../base/errors.ts";
import type { FileBytes, FileEntry, FileTree } from "./file-tree.ts";

/** A folder of the host that the user named. */
export class HostTree implements FileTree {
  readonly name: string;

  constructor(folder: string) {
    this.name = resolve(folder);
  }

  read(path: string, limit: number): FileBytes {
    const full = join(this.name, path);
    try {
      const { size } = statSync(full);
      if (size > limit) return { missing: `it has ${size} bytes` };
      return { bytes: readFileSync(full) };
    } catch (error) {
      return { missing: systemCode(error) ?? String(error) };
    }
  }

  list(path: string): FileEntry[] | undefined {
    try {
      const entries = readdirSync(join(this.name, path), { withFileTypes: true });
      return entries.map((entry) => ({ name: entry.name, folder: entry.isDirectory() }));
    } catch {
      return undefined;
    }
  }
}
