import { readFileSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../base/errors.ts";
import { canAct } from "./process-identity.ts";

/** Removes half-made and half-deleted things whose maker, named by its pid, is gone. */
export function sweepRemains(folder: string): void {
  for (const entry of readdirSync(folder)) {
    const pid = /^\.(?:build|new|deleted)-.*-(\d+)(?:-former)?$/.exec(entry)?.[1];
    if (pid === undefined || canAct(Number(pid))) continue;
    removeTree(join(folder, entry));
  }
}

/**
 * Removes a folder and all in it, unless something is mounted there: what was mounted belongs to
 * others, and removing does not stop at a mount. Then all of it stays.
 */
export function removeTree(folder: string): void {
  try {
    if (hasMounts(realpathSync(folder))) return;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw error;
  }
  rmSync(folder, { recursive: true, force: true });
}

/** Whether a mount point of this mount namespace lies at or below the folder. */
function hasMounts(folder: string): boolean {
  return readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .map((line) => mountPoint(line.split(" ")[4] ?? ""))
    .some((place) => `${place}/`.startsWith(`${folder}/`));
}

/** Field 5 of mountinfo (proc(5)), in which blanks and the like are octal escapes. */
function mountPoint(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return Buffer.from(bytes, "latin1").toString();
}
