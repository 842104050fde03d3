import { closeSync, fstatSync, openSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { systemCode } from "../base/errors.ts";

/** Files of a log, the oldest first; the last is the one that is written to, where it is there. */
export class LogFiles implements Disposable {
  readonly files: readonly LogFile[];

  private constructor(files: readonly LogFile[]) {
    this.files = files;
  }

  /**
   * Opens all of them. The one that is written to comes first and the list of the others after it:
   * whatever is rotated in between is then in the list, and never missed.
   */
  static open(path: string): LogFiles {
    const active = openIfThere(path);
    const files: LogFile[] = [];
    for (const { name, first } of segmentsOf(path)) {
      const fd = openIfThere(name);
      if (fd !== undefined) files.push({ path: name, fd, first });
    }
    if (active === undefined) return new LogFiles(files);
    const { ino, dev } = fstatSync(active);
    const rotated = files.some(({ fd }) => fstatSync(fd).ino === ino && fstatSync(fd).dev === dev);
    if (rotated) closeSync(active);
    else files.push({ path, fd: active, first: undefined });
    return new LogFiles(files);
  }

  /** From the file that begins with the event of that number. */
  from(first: number): readonly LogFile[] {
    const at = this.files.findIndex((file) => file.first === first);
    if (at >= 0) return this.files.slice(at);
    return this.files.filter((file) => file.first === undefined);
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.files) closeSync(fd);
  }
}

export type LogFile = {
  readonly path: string;
  readonly fd: number;
  /** Number of its first event, as its name says; undefined for the one that is written to. */
  readonly first: number | undefined;
};

const DIGITS = 12;

/** The name that a log's file gets when another takes its place: it says with which event it begins. */
export function segmentPath(path: string, first: number): string {
  return path.replace(/\.jsonl$/, `-${String(first).padStart(DIGITS, "0")}.jsonl`);
}

/** The files that are full, the oldest first. */
export function segmentsOf(path: string): { name: string; first: number }[] {
  const stem = basename(path, ".jsonl");
  const pattern = new RegExp(`^${stem}-(\\d{${DIGITS}})\\.jsonl$`);
  try {
    return readdirSync(dirname(path))
      .toSorted()
      .flatMap((name) => {
        const first = pattern.exec(name)?.[1];
        return first === undefined
          ? []
          : [{ name: join(dirname(path), name), first: Number(first) }];
      });
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
