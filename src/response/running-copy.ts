import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Extent } from "../native/mmap.ts";
import { WriteProtection } from "../native/write-protection.ts";
import type { BehindFiles, BehindResult } from "./copy-behind.ts";
import type { CopyTask } from "./copy-worker.ts";

/** A copy of RAM that is made while its guest runs on. */
export class RunningCopy implements AsyncDisposable {
  readonly #protection: WriteProtection;
  readonly #worker: Worker;

  private constructor(protection: WriteProtection, worker: Worker) {
    this.#protection = protection;
    this.#worker = worker;
  }

  /**
   * Gets all ready while the guest still runs: its QEMU stands still for some tenths of a
   * millisecond. Throws where the host does not allow it.
   */
  static async prepare(
    pid: number,
    ram: { readonly hostAddress: bigint; readonly size: number },
    files: BehindFiles,
  ): Promise<RunningCopy> {
    const protection = WriteProtection.install(pid, ram.hostAddress, ram.size);
    try {
      const task: CopyTask = { handle: protection.handle, files };
      // Built, it is JavaScript beside us.
      const file = import.meta.url.endsWith(".ts") ? "copy-worker.ts" : "copy-worker.js";
      const worker = new Worker(new URL(file, import.meta.url), { workerData: task });
      await once(worker, "message");
      return new RunningCopy(protection, worker);
    } catch (error) {
      protection[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Begins, with the guest standing still: from now on it may run, and what it writes to is copied
   * before. The result comes when all is copied and let go.
   */
  start(extents: readonly Extent[]): Promise<BehindResult> {
    this.#protection.protect();
    const result = once(this.#worker, "message") as Promise<[BehindResult]>;
    this.#worker.postMessage(extents);
    return result.then(([copied]) => copied);
  }

  /** Lets go of the guest's memory, copied or not. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // It works with the descriptor, whose number may soon be another file's.
      await this.#worker.terminate();
    } finally {
      this.#protection[Symbol.dispose]();
    }
  }
}
