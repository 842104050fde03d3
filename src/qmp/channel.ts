import { KvmsecError } from "../base/errors.ts";
import { CallSite, QmpCommandError, qmpErrorCodes } from "./errors.ts";
import { EventHub, eventOf } from "./events.ts";
import { MessageFramer, formatCommand } from "./framing.ts";
import type { ShutdownData, VersionInfo } from "./generated.ts";
import type { QmpTransport } from "./transport.ts";

/** How a connection ended. QEMU that dies without a SHUTDOWN event was killed or crashed. */
export type QmpEnd = {
  readonly byUs: boolean;
  /** The last SHUTDOWN event, where one came. */
  readonly shutdown: ShutdownData | undefined;
  readonly cause: Error | undefined;
};

type Pending = {
  readonly command: string;
  readonly site: CallSite;
  readonly timer: NodeJS.Timeout;
  resolve(value: unknown): void;
  reject(error: Error): void;
};

/** Messages to and from one monitor, below the types. */
export class Channel {
  readonly hub = new EventHub();
  readonly ended: Promise<QmpEnd>;
  readonly #transport: QmpTransport;
  readonly #label: string;
  readonly #timeoutMs: number;
  readonly #framer = new MessageFramer();
  readonly #pending = new Map<number, Pending>();
  readonly #greeting = Promise.withResolvers<VersionInfo>();
  readonly #settleEnd: (end: QmpEnd) => void;
  #lastId = 0;
  #end: QmpEnd | undefined;
  #failure: Error | undefined;
  #closedByUs = false;
  #shutdown: ShutdownData | undefined;

  constructor(transport: QmpTransport, label: string, timeoutMs: number) {
    this.#transport = transport;
    this.#label = label;
    this.#timeoutMs = timeoutMs;
    const { promise, resolve } = Promise.withResolvers<QmpEnd>();
    this.ended = promise;
    this.#settleEnd = resolve;
    // Nobody may wait for the greeting any more when the connection ends.
    this.#greeting.promise.catch(() => {});
    transport.receive({
      text: (piece) => this.#receive(piece),
      end: (cause) => this.#finish(cause),
    });
  }

  async greeting(timeoutMs: number): Promise<VersionInfo> {
    const timer = setTimeout(() => {
      this.#greeting.reject(
        new KvmsecError(qmpErrorCodes.busy, `The monitor at ${this.#label} does not answer.`, {
          hint: "It serves one client at a time (libvirt holds its guests' monitors), or QEMU hangs.",
        }),
      );
    }, timeoutMs);
    return this.#greeting.promise.finally(() => clearTimeout(timer));
  }

  call(
    command: string,
    given: object | undefined,
    timeoutMs = this.#timeoutMs,
    site: CallSite,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#end !== undefined) {
      reject(site.mark(closedError(command, this.#end.cause)));
      return promise;
    }
    const id = ++this.#lastId;
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(site.mark(timeoutError(command, timeoutMs)));
    }, timeoutMs);
    this.#pending.set(id, { command, site, timer, resolve, reject });
    this.#transport.send(formatCommand(command, id, given));
    return promise;
  }

  close(): void {
    this.#closedByUs = true;
    this.#transport.close();
    this.#finish(undefined);
  }

  #receive(piece: string): void {
    if (this.#end !== undefined) return;
    try {
      for (const message of this.#framer.push(piece)) this.#dispatch(message);
    } catch (error) {
      this.#failure = error as Error;
      this.#transport.close();
      this.#finish(this.#failure);
    }
  }

  #dispatch(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const members = message as Record<string, unknown>;
    if ("event" in members) return this.#event(members);
    if ("QMP" in members) {
      const greeting = members["QMP"] as { version?: VersionInfo } | null;
      if (greeting?.version !== undefined) this.#greeting.resolve(greeting.version);
      return;
    }
    const pending = this.#pending.get(members["id"] as number);
    // An answer that came after its time limit.
    if (pending === undefined) return;
    this.#pending.delete(members["id"] as number);
    clearTimeout(pending.timer);
    if ("return" in members) return pending.resolve(members["return"]);
    const error = (members["error"] ?? {}) as { class?: unknown; desc?: unknown };
    pending.reject(
      pending.site.mark(
        new QmpCommandError(pending.command, String(error.class), String(error.desc)),
      ),
    );
  }

  #event(members: Record<string, unknown>): void {
    const event = eventOf(members);
    if (event === undefined) return;
    if (event.name === "SHUTDOWN") this.#shutdown = event.data as ShutdownData;
    this.hub.emit(event);
  }

  #finish(cause: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { byUs: this.#closedByUs, shutdown: this.#shutdown, cause };
    this.#greeting.reject(
      cause instanceof KvmsecError
        ? cause
        : closedError(`the greeting of the monitor at ${this.#label}`, cause),
    );
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(pending.site.mark(closedError(pending.command, cause)));
    }
    this.#pending.clear();
    this.#settleEnd(this.#end);
  }
}

/** The error of one who waited for something when the connection ended. */
export function closedError(awaited: string, cause: Error | undefined): KvmsecError {
  return new KvmsecError(
    qmpErrorCodes.closed,
    `The connection to QEMU ended before ${awaited} was answered.`,
    { hint: "The guest may have ended: 'kvmsec targets' shows what still runs.", cause },
  );
}

/** The error of one who waited too long. */
export function timeoutError(awaited: string, timeoutMs: number): KvmsecError {
  return new KvmsecError(
    qmpErrorCodes.timeout,
    `QEMU did not answer ${awaited} within ${timeoutMs / 1000} s.`,
    { hint: "The command may still be carried out; QEMU's main loop may be stuck." },
  );
}
