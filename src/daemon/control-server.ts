import { chmodSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { KvmsecError } from "../base/errors.ts";
import { controlRequest } from "./control-request.ts";
import type { ControlAnswer, ControlRequest } from "./control-request.ts";
import { ControlSocketPath, MAX_MESSAGE } from "./control-socket.ts";

/** A client that says nothing for so long is let go. */
const PATIENCE_MS = 10_000;

export type ControlHandler = (request: ControlRequest) => Promise<object> | object;

/**
 * Answers those who may enter the home: they are the guard's own user, or root. It has the daemon's
 * lock, so a socket that lies there is what a dead guard left.
 */
export class ControlServer implements Disposable {
  readonly #server: Server;
  readonly #place: ControlSocketPath;
  readonly #clients = new Set<Socket>();

  constructor(root: string, handle: ControlHandler, onTrouble: (text: string) => void) {
    this.#place = new ControlSocketPath(root);
    const { path } = this.#place;
    rmSync(path, { force: true });
    this.#server = createServer((client) => this.#serve(client, handle));
    this.#server.on("error", (error) => onTrouble(`the control socket failed: ${error.message}`));
    this.#server.listen(path, () => chmodSync(path, 0o600));
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.destroy();
    this.#server.close();
    rmSync(this.#place.path, { force: true });
    this.#place[Symbol.dispose]();
  }

  #serve(client: Socket, handle: ControlHandler): void {
    let text = "";
    this.#clients.add(client);
    client.on("close", () => this.#clients.delete(client));
    client.on("error", () => client.destroy());
    client.setTimeout(PATIENCE_MS, () => client.destroy());
    client.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
      const end = text.indexOf("\n");
      if (end < 0) {
        if (text.length > MAX_MESSAGE) client.destroy();
        return;
      }
      client.pause();
      void answer(text.slice(0, end), handle).then((said) =>
        client.end(`${JSON.stringify(said)}\n`),
      );
    });
  }
}

async function answer(line: string, handle: ControlHandler): Promise<ControlAnswer> {
  try {
    const request = controlRequest.parse(JSON.parse(line));
    return { ok: true, said: { ...(await handle(request)) } };
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_REQUEST_INVALID";
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
  }
}
