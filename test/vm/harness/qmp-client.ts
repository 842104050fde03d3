import type { Socket } from "node:net";

type Reply = { id?: number; return?: unknown; error?: { class: string; desc: string } };
type Waiting = { resolve(value: unknown): void; reject(error: Error): void };

/**
 * The harness's own way to a guest's monitor, on a socket of its own: what is tested must not be
 * its own witness, and a QMP socket serves one client at a time.
 */
export class QmpClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #rest = "";
  #nextId = 1;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("QEMU closed its monitor")));
  }

  /** One command; `qmp_capabilities` has to be the first. */
  async execute(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    this.#socket.write(`${JSON.stringify({ execute: name, arguments: args, id })}\n`);
    return promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const reply = JSON.parse(line) as Reply;
      const waiting = reply.id === undefined ? undefined : this.#waiting.get(reply.id);
      if (waiting === undefined) continue;
      this.#waiting.delete(reply.id ?? 0);
      if (reply.error === undefined) waiting.resolve(reply.return);
      else waiting.reject(new Error(`QMP: ${reply.error.desc}`));
    }
  }

  #end(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
