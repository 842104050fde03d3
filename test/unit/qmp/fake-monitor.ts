import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const greeting =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "test"}, "capabilities": ["oob"]}}\r\n';

type Command = { execute: string; id: number; arguments?: Record<string, unknown> };

/** What a fake monitor does with a command: the text to send back, if any. */
export type Behaviour = (command: Command, socket: Socket, line: string) => string | undefined;

/** A unix socket that behaves like a monitor, or misbehaves as a test wants it. */
export class FakeMonitor implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "kvmsec-qmp-"));
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(name: string, onConnect: (socket: Socket) => void) {
    this.path = join(this.folder, name);
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      onConnect(socket);
    });
  }

  /** A monitor that greets and negotiates, and leaves all other commands to `behaviour`. */
  static start(behaviour: Behaviour): Promise<FakeMonitor> {
    return FakeMonitor.startRaw((socket) => {
      socket.write(greeting);
      createInterface({ input: socket }).on("line", (line) => {
        const command = JSON.parse(line) as Command;
        const answer =
          command.execute === "qmp_capabilities"
            ? `{"return": {}, "id": ${command.id}}\r\n`
            : behaviour(command, socket, line);
        if (answer !== undefined) socket.write(answer);
      });
    });
  }

  static async startRaw(
    onConnect: (socket: Socket) => void,
    name = "monitor",
  ): Promise<FakeMonitor> {
    const monitor = new FakeMonitor(name, onConnect);
    await new Promise<void>((resolve) => monitor.#server.listen(monitor.path, resolve));
    return monitor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
