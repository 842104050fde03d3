import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { WriteProtection } from "../native/write-protection.ts";
import type { BehindFiles, BehindResult } from "./copy-behind.ts";
import type { CopyTask } from "./copy-worker.ts";

/** A copy of RAM that is made while its guest runs on. */
export class RunningCopy implements AsyncDisposable {
  readonly #protection: WriteProtection;
  readonly #worker: Worker;
  readonly #moment: Int32Array;
  #isOver = false;

  private constructor(protection: WriteProtection, worker: Worker, moment: Int32Array) {
    this.#protection = protection;
    this.#worker = worker;
    this.#moment = moment;
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
      const moment = new Int32Array(new SharedArrayBuffer(4));
      const task: CopyTask = { handle: protection.handle, files, moment };
      // Built, it is JavaScript beside us.
      const file = import.meta.url.endsWith(".ts") ? "copy-worker.ts" : "copy-worker.js";
      const worker = new Worker(new URL(file, import.meta.url), { workerData: task });
      await once(worker, "message");
      return new RunningCopy(protection, worker, moment);
    } catch (error) {
      protection[Symbol.dispose]();
      throw error;
    }
  }

  /** Protects all while the guest runs, shortly before it is stopped: what it writes to is let go. */
  async guard(): Promise<void> {
    const done = once(this.#worker, "message");
    this.#worker.postMessage("guard");
    await done;
  }

  /**
   * Begins, with the guest standing still: from now on it may run, and what it writes to is copied
   * before. `copied` comes when all is copied and let go.
   */
  async start(): Promise<{ readonly copied: Promise<BehindResult> }> {
    const { promise: copied, resolve, reject } = Promise.withResolvers<BehindResult>();
    // Its last word may come right behind the one that we wait for.
    copied.catch(() => {});
    this.#worker.once("error", reject).on("message", (word: unknown) => {
      if (typeof word !== "string") resolve(word as BehindResult);
    });
    const done = once(this.#worker, "message");
    Atomics.store(this.#moment, 0, 1);
    Atomics.notify(this.#moment, 0);
    await done;
    return { copied };
  }

  /** Lets go of the guest's memory, copied or not. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      // It works with the descriptor, whose number may soon be another file's.
      await this.#worker.terminate();
    } finally {
      this.#protection[Symbol.dispose]();
    }
  }
}
