import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

/** A file that is written in places; what lies between reads as zeros and takes no room. */
export class SparseFile implements Disposable {
  readonly #fd: number;

  /** Makes a file that only its owner may read. Throws EEXIST where it is there and `force` is not. */
  constructor(path: string, force: boolean) {
    this.#fd = openSync(path, force ? "w" : "wx", 0o600);
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    }
  }

  /** Sets its size. */
  end(size: number): void {
    ftruncateSync(this.#fd, size);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
