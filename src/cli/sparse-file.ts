import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { exitStatus, KvmsecError, systemCode } from "../base/errors.ts";

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

/** What a command that copies a file out of a guest is told about where it goes. */
export type OutputOptions = { readonly output: string; readonly force?: boolean };

/** Makes the file that the user named and lets it be filled. Throws KVMSEC_OUTPUT (usage). */
export function intoFile<Result>(
  { output, force }: OutputOptions,
  fill: (file: SparseFile) => Result,
): Result {
  try {
    using file = new SparseFile(output, force === true);
    return fill(file);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || error instanceof KvmsecError) throw error;
    throw new KvmsecError("KVMSEC_OUTPUT", `${output} cannot be written (${code}).`, {
      hint: code === "EEXIST" ? "--force overwrites it." : "Choose another place with -o.",
      exit: exitStatus.usage,
      cause: error,
    });
  }
}
