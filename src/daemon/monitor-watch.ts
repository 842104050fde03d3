import { connectQmp } from "../qmp/connection.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { qmpErrorCodes } from "../qmp/errors.ts";
import { systemCode } from "../base/errors.ts";

/** What QEMU itself said about the guest's end. */
export type Ending = {
  /** The reason in its SHUTDOWN event; undefined where there was none. */
  readonly shutdown: string | undefined;
  readonly panicked: boolean;
};

/** QEMU's main loop may be busy with a snapshot so long; then it is silent. */
const ANSWER_MS = 5000;

/** Listens at a guest's monitor as long as it is there. Another who holds it is waited for. */
export class MonitorWatch implements Disposable {
  readonly #path: string;
  readonly #onReset: () => void;
  #connection: QmpConnection | undefined;
  #busy = false;
  #over = false;
  #heard = false;
  #shutdown: string | undefined;
  #panicked = false;

  constructor(path: string, onReset: () => void) {
    this.#path = path;
    this.#onReset = onReset;
  }

  /** Whether the monitor was ever listened to: if not, a missing SHUTDOWN means nothing. */
  get heard(): boolean {
    return this.#heard;
  }

  get ending(): Ending {
    return { shutdown: this.#shutdown, panicked: this.#panicked };
  }

  /** Connects where there is no connection; to be called now and then. Never rejects. */
  async keepUp(): Promise<void> {
    if (this.#busy || this.#connection !== undefined) return;
    this.#busy = true;
    try {
      const connection = await connectQmp(this.#path);
      if (this.#over) return connection.close();
      this.#connection = connection;
      this.#heard = true;
      void connection.ended.then(() => (this.#connection = undefined));
      connection.on("SHUTDOWN", ({ reason }) => (this.#shutdown = reason));
      connection.on("GUEST_PANICKED", () => (this.#panicked = true));
      connection.on("RESET", this.#onReset);
    } catch {
      // It serves somebody else now, or is gone: the next call tries again.
    } finally {
      this.#busy = false;
    }
  }

  /** QEMU's word for how the guest is; `silent` without an answer, undefined where nobody listens. */
  async status(): Promise<string | undefined> {
    if (this.#connection === undefined) return undefined;
    try {
      const { status } = await this.#connection.execute(
        "query-status",
        {},
        { timeoutMs: ANSWER_MS },
      );
      return status;
    } catch (error) {
      return systemCode(error) === qmpErrorCodes.timeout ? "silent" : undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#connection?.close();
  }
}
