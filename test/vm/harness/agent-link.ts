import type { Socket } from "node:net";

export type RunResult = {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Exit status, or 128 + the signal that ended it. */
  readonly status: number;
};

export type RunOptions = {
  /** Milliseconds until the command is killed and the call rejects; 120,000 unless told. */
  readonly timeout?: number;
  readonly input?: Uint8Array;
  /** Kills the command when aborted; the call then fulfils with what it had written. */
  readonly signal?: AbortSignal;
};

type Pending = {
  readonly stdout: Buffer[];
  readonly stderr: Buffer[];
  settle(result: RunResult): void;
  fail(error: Error): void;
};

const headerLength = 9;

/** The host end of guest-agent.c, which describes the frames. Commands may run side by side. */
export class AgentLink {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #greeting = newGreeting();
  #received: Buffer[] = [];
  #receivedLength = 0;
  #nextId = 1;
  #broken: Error | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => this.#receive(data));
    socket.on("error", (error) => this.break(error));
    socket.on("close", () => this.break(new Error("the guest's QEMU closed the link")));
  }

  /** Fulfilled when the agent next says that it is there: once a boot of the guest. */
  get greeting(): Promise<void> {
    return this.#greeting.promise;
  }

  get broken(): boolean {
    return this.#broken !== undefined;
  }

  async run(command: string, options: RunOptions = {}): Promise<RunResult> {
    if (this.#broken !== undefined) throw this.#broken;
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
    this.#pending.set(id, { stdout: [], stderr: [], settle: resolve, fail: reject });
    const limit = options.timeout ?? 120_000;
    const kill = () => this.#send("k", id, new Uint8Array());
    const timer = setTimeout(() => {
      kill();
      reject(new Error(`not done in ${limit} ms: ${command}`));
    }, limit);
    this.#send(options.input === undefined ? "r" : "R", id, Buffer.from(command));
    if (options.input !== undefined) this.#sendInput(id, options.input);
    options.signal?.addEventListener("abort", kill, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", kill);
      this.#pending.delete(id);
    }
  }

  /** Rejects what is under way and all that comes later. */
  break(error: Error): void {
    this.#broken ??= error;
    this.#greeting.reject(error);
    for (const pending of this.#pending.values()) pending.fail(error);
    this.#socket.destroy();
  }

  #sendInput(id: number, input: Uint8Array): void {
    const piece = 65_536;
    for (let at = 0; at < input.length; at += piece) {
      this.#send("i", id, input.subarray(at, at + piece));
    }
    this.#send("i", id, new Uint8Array());
  }

  #send(type: string, id: number, payload: Uint8Array): void {
    const header = Buffer.alloc(headerLength);
    header.write(type, 0, "latin1");
    header.writeUInt32LE(id, 1);
    header.writeUInt32LE(payload.length, 5);
    this.#socket.write(Buffer.concat([header, payload]));
  }

  #receive(data: Buffer): void {
    this.#received.push(data);
    this.#receivedLength += data.length;
    while (this.#receivedLength >= headerLength) {
      const length = headerLength + this.#peek(headerLength).readUInt32LE(5);
      if (this.#receivedLength < length) return;
      const frame = this.#peek(length).subarray(0, length);
      this.#received[0] = this.#received[0].subarray(length);
      this.#receivedLength -= length;
      this.#obey(
        String.fromCharCode(frame[0]),
        frame.readUInt32LE(1),
        frame.subarray(headerLength),
      );
    }
  }

  /** What ran before a restart of the guest will never answer. */
  #greet(): void {
    for (const pending of this.#pending.values()) pending.fail(new Error("the guest restarted"));
    this.#greeting.resolve();
    this.#greeting = newGreeting();
  }

  /** At least the next `length` bytes as one piece, left in place. */
  #peek(length: number): Buffer {
    if (this.#received[0].length < length) this.#received = [Buffer.concat(this.#received)];
    return this.#received[0];
  }

  #obey(type: string, id: number, payload: Buffer): void {
    if (type === "h") return this.#greet();
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (type === "o") pending.stdout.push(payload);
    if (type === "e") pending.stderr.push(payload);
    if (type !== "x") return;
    pending.settle({
      stdout: Buffer.concat(pending.stdout),
      stderr: Buffer.concat(pending.stderr),
      status: payload.readUInt32LE(0),
    });
  }
}

function newGreeting(): PromiseWithResolvers<void> {
  const greeting = Promise.withResolvers<void>();
  // Nobody has to be waiting for it when the link breaks.
  greeting.promise.catch(() => {});
  return greeting;
}
