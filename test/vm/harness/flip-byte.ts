import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** Changes one bit of a file in its place; returns what changes it back. */
export function flipByte(path: string, at: number): () => void {
  const change = (): void => {
    const fd = openSync(path, "r+");
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, at);
    byte[0]! ^= 1;
    writeSync(fd, byte, 0, 1, at);
    closeSync(fd);
  };
  change();
  return change;
}
