import { Channel, closedError, timeoutError } from "./channel.ts";
import type { QmpEnd } from "./channel.ts";
import { CallSite } from "./errors.ts";
import { EventQueue } from "./events.ts";
import type { QmpEvent } from "./events.ts";
import type { QmpCommands, QmpEvents, VersionInfo } from "./generated.ts";
import type { QmpTransport } from "./transport.ts";
import { connectUnixSocket } from "./transport.ts";

export type CommandName = keyof QmpCommands;

export type CommandOptions = {
  /** How long to wait for the answer; the connection's own limit unless told. */
  timeoutMs?: number;
};

/** Arguments may be left out where all of them are optional. */
type CallArguments<Name extends CommandName> =
  Record<never, never> extends QmpCommands[Name]["arguments"]
    ? [given?: QmpCommands[Name]["arguments"], options?: CommandOptions]
    : [given: QmpCommands[Name]["arguments"], options?: CommandOptions];

export type ConnectOptions = {
  /** For the greeting, and for each command that names no other limit; 10 s unless told. */
  timeoutMs?: number;
};

const DEFAULT_TIMEOUT_MS = 10_000;

/** Connects to the monitor that listens on a unix socket. It serves one client at a time. */
export async function connectQmp(
  path: string,
  options: ConnectOptions = {},
): Promise<QmpConnection> {
  const transport = await connectUnixSocket(path, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  return QmpConnection.open(transport, path, options);
}

/**
 * A conversation with one QEMU monitor (docs/interop/qmp-spec): commands matched to their answers
 * by id, events to whoever listens. Everything that comes back is QEMU's word, hence hostile once
 * a guest broke out: its shape is only promised by the generated types.
 */
export class QmpConnection implements Disposable {
  /** QEMU's version, from its greeting. */
  readonly version: VersionInfo;
  /** Settles once the connection is over; never rejects. */
  readonly ended: Promise<QmpEnd>;
  readonly #channel: Channel;
  #commands: Promise<ReadonlySet<string>> | undefined;

  private constructor(channel: Channel, version: VersionInfo) {
    this.#channel = channel;
    this.version = version;
    this.ended = channel.ended;
  }

  /** Waits for the greeting and leaves the negotiation mode. `label` names the monitor in errors. */
  static async open(
    transport: QmpTransport,
    label: string,
    options: ConnectOptions = {},
  ): Promise<QmpConnection> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const channel = new Channel(transport, label, timeoutMs);
    try {
      const version = await channel.greeting(timeoutMs);
      const site = new CallSite(QmpConnection.open);
      await channel.call("qmp_capabilities", undefined, timeoutMs, site);
      return new QmpConnection(channel, version);
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  /** Carries out a command; rejects with QEMU's own words where it refuses. */
  execute<Name extends CommandName>(
    command: Name,
    ...[given, options]: CallArguments<Name>
  ): Promise<QmpCommands[Name]["returns"]> {
    const site = new CallSite(this.execute);
    return this.#channel.call(command, given, options?.timeoutMs, site) as Promise<
      QmpCommands[Name]["returns"]
    >;
  }

  /** The same for a command without generated types. */
  executeAny(command: string, given?: object, options: CommandOptions = {}): Promise<unknown> {
    const site = new CallSite(this.executeAny);
    return this.#channel.call(command, given, options.timeoutMs, site);
  }

  /** A command of the human monitor, and what it prints. Its words differ between releases. */
  human(commandLine: string, options: CommandOptions = {}): Promise<string> {
    const site = new CallSite(this.human);
    const given = { "command-line": commandLine };
    return this.#channel
      .call("human-monitor-command", given, options.timeoutMs, site)
      .then((text) => (typeof text === "string" ? text.replaceAll("\r\n", "\n") : ""));
  }

  /** Whether this QEMU knows the command. */
  async supports(command: string): Promise<boolean> {
    this.#commands ??= this.execute("query-commands").then(
      (list) => new Set(list.map(({ name }) => name)),
    );
    return (await this.#commands).has(command);
  }

  /** Calls the listener for every event of that name, until disposed. */
  on<Name extends keyof QmpEvents>(
    name: Name,
    listener: (data: QmpEvents[Name], event: QmpEvent) => void,
  ): Disposable {
    return this.#channel.hub.add((event) => {
      if (event.name === name) listener(event.data as QmpEvents[Name], event);
    });
  }

  /** All events from now on, in order, until the connection ends or the iteration is left. */
  events(): EventQueue {
    const queue = new EventQueue((listener) => this.#channel.hub.add(listener));
    void this.ended.then(() => queue.end());
    return queue;
  }

  /** The next such event that passes `accept`; rejects on the time limit or when QEMU goes away. */
  waitFor<Name extends keyof QmpEvents>(
    name: Name,
    options: CommandOptions & { accept?: (data: QmpEvents[Name]) => boolean } = {},
  ): Promise<QmpEvents[Name]> {
    const site = new CallSite(this.waitFor);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, accept = () => true } = options;
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvents[Name]>();
    const subscription = this.on(name, (data) => accept(data) && resolve(data));
    const timer = setTimeout(() => {
      reject(site.mark(timeoutError(`the event ${name}`, timeoutMs)));
    }, timeoutMs);
    void this.ended.then((end) => reject(site.mark(closedError(`the event ${name}`, end.cause))));
    return promise.finally(() => {
      clearTimeout(timer);
      subscription[Symbol.dispose]();
    });
  }

  /** Ends the connection; commands that still wait fail. QEMU runs on. */
  close(): void {
    this.#channel.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
