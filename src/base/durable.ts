import { closeSync, fsyncSync, openSync } from "node:fs";

/** Has the host write down what it still holds of a file, or of the names in a folder. */
export function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
