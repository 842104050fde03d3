import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** An answer, or how the process ended instead. */
export type Reply<Answer> =
  | { readonly answer: Answer; readonly ended?: undefined }
  | { readonly ended: string };

/** No more of what a helper says in its distress is kept. */
const MAX_WORDS = 2000;

/** A process of this folder (`NAME.ts`) that answers questions, one at a time. */
export class Helper implements Disposable {
  readonly #child: ChildProcess;
  #words = "";

  constructor(name: "scanner" | "reaction-worker" | "storage-worker", order: object) {
    const program = new URL(`./${name}${extname(import.meta.filename)}`, import.meta.url);
    this.#child = fork(fileURLToPath(program), [JSON.stringify(order)], {
      // A signal for the guard is not one for those who work for it: they end with the channel.
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.on("error", (error) => (this.#words += error.message));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#words = (this.#words + text).slice(-MAX_WORDS);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Asks; never rejects. A helper that takes longer than the limit is killed. */
  ask<Answer>(question: object, limitMs: number): Promise<Reply<Answer>> {
    const child = this.#child;
    return new Promise((resolve) => {
      let late = false;
      const done = (reply: Reply<Answer>): void => {
        clearTimeout(timer);
        child.off("message", answered).off("close", closed);
        resolve(reply);
      };
      const answered = (message: unknown): void => done({ answer: message as Answer });
      const closed = (code: number | null, signal: string | null): void => {
        const how = late ? `no answer in ${limitMs} ms` : (signal ?? `exit status ${code}`);
        done({ ended: `${how} ${this.#words}`.trim() });
      };
      const timer = setTimeout(() => {
        late = true;
        child.kill("SIGKILL");
      }, limitMs);
      child.on("message", answered).on("close", closed);
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
        return closed(child.exitCode, child.signalCode);
      }
      child.send(question, (error) => {
        // What it leaves behind is told by `close`, which follows.
        if (error !== null) child.kill("SIGKILL");
      });
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
