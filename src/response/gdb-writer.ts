import { chownSync, mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { connectSocket } from "../qmp/transport.ts";
import type { PutBytes } from "./guest-write.ts";

const PATIENCE_MS = 5000;
/** No answer of the stub's to what is asked here is longer. */
const MAX_ANSWER = 4096;

/**
 * Writes guest memory through QEMU's own gdb stub. QEMU's software emulation keeps translated code
 * and does not notice what is written past it into the RAM's file: code that was put right would go
 * on as it was. Through the stub the translation goes with the bytes (system/physmem.c:
 * invalidate_and_set_dirty). The guest has to stand still, and stays so.
 */
export class GdbWriter implements AsyncDisposable {
  readonly #monitor: QmpConnection;
  readonly #folder: string;
  readonly #socket: Socket;
  #heard = "";
  #wake: () => void = () => {};

  private constructor(monitor: QmpConnection, folder: string, socket: Socket) {
    this.#monitor = monitor;
    this.#folder = folder;
    this.#socket = socket;
    socket.setEncoding("latin1").on("data", (text: string) => {
      this.#heard = (this.#heard + text).slice(-MAX_ANSWER);
      this.#wake();
    });
    // Whoever waits for an answer runs into the time limit.
    socket.on("error", () => {});
  }

  /** `owner` is the user who runs the QEMU. Throws KVMSEC_GDB_STUB. */
  static async open(monitor: QmpConnection, owner: number): Promise<GdbWriter> {
    const folder = mkdtempSync(join(tmpdir(), "kvmsec-"));
    try {
      if (process.geteuid?.() === 0 && owner !== 0) chownSync(folder, owner, -1);
      const path = join(folder, "gdb");
      await monitor.human(`gdbserver unix:${path},server=on,wait=off`);
      const writer = new GdbWriter(monitor, folder, await connectSocket(path));
      await writer.#ask("Qqemu.PhyMemMode:1");
      return writer;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Puts a piece into the guest's memory by its guest-physical address. */
  readonly put: PutBytes = ({ physical }, hex) =>
    this.#ask(`M${physical.toString(16)},${(hex.length / 2).toString(16)}:${hex}`);

  /** A packet is `$TEXT#SUM`; the stub says `+` to what it got, and answers in a packet. */
  async #ask(text: string): Promise<void> {
    const sum = [...Buffer.from(text, "latin1")].reduce((all, byte) => (all + byte) & 0xff, 0);
    this.#heard = "";
    this.#socket.write(`$${text}#${sum.toString(16).padStart(2, "0")}`, "latin1");
    const answer = await this.#answer();
    this.#socket.write("+");
    if (answer !== "OK") throw failed(`it answered ${JSON.stringify(answer)}`);
  }

  #answer(): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(failed("it does not answer")), PATIENCE_MS);
      this.#wake = () => {
        // What it says of the guest's stop (T05…) is no answer.
        const packets = [...this.#heard.matchAll(/\$([^#]*)#[0-9a-f]{2}/g)].map(([, body]) => body);
        const answer = packets.find((body) => !/^[TS]/.test(body));
        if (answer === undefined) return;
        clearTimeout(timer);
        resolve(answer);
      };
      this.#wake();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#ask("Qqemu.PhyMemMode:0");
    } finally {
      this.#socket.destroy();
      await this.#monitor.human("gdbserver none");
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}

function failed(why: string): KvmsecError {
  return new KvmsecError("KVMSEC_GDB_STUB", `QEMU's gdb stub cannot be used: ${why}.`, {
    hint: "Another debugger may be connected to this QEMU.",
  });
}
