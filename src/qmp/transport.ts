import { closeSync, constants, openSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { qmpErrorCodes } from "./errors.ts";

/** What a transport tells its connection. */
export type TransportEvents = {
  text(piece: string): void;
  /** Once, after which nothing more comes. */
  end(cause: Error | undefined): void;
};

/**
 * The way to a monitor. Node's sockets cannot pass file descriptors (SCM_RIGHTS), so `getfd` and
 * `add-fd` need a transport of their own; files are better opened by QEMU itself.
 */
export interface QmpTransport {
  receive(events: TransportEvents): void;
  send(text: string): void;
  close(): void;
}

/** The longest path that fits sockaddr_un.sun_path with its closing zero (unix(7)). */
const MAX_SOCKET_PATH = 107;

/**
 * The way to the unix socket at `path`, connected within `timeoutMs`. A path that is too long for
 * the kernel is reached through its folder's descriptor.
 */
export async function connectUnixSocket(path: string, timeoutMs: number): Promise<QmpTransport> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return new SocketTransport(await connectSocket(path));
    } catch (error) {
      // The listen queue is full: others wait for this monitor too.
      if (systemCode(error) !== "EAGAIN" || Date.now() > deadline) {
        throw explainConnect(error, path);
      }
      await sleep(20);
    }
  }
}

/** A stream to a unix socket, also where its path is longer than an address holds. Rejects with the system's code. */
export function connectSocket(path: string): Promise<Socket> {
  const reachable = reachablePath(path);
  return new Promise<Socket>((resolve, reject) => {
    const socket = connect({ path: reachable.path });
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  }).finally(reachable.release);
}

function reachablePath(path: string): { path: string; release: () => void } {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return { path, release: () => {} };
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    path: `/proc/self/fd/${folder}/${basename(path)}`,
    release: () => closeSync(folder),
  };
}

class SocketTransport implements QmpTransport {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.pause();
  }

  receive(events: TransportEvents): void {
    let cause: Error | undefined;
    this.#socket.on("data", (piece: string) => events.text(piece));
    this.#socket.on("error", (error) => (cause = error));
    this.#socket.on("close", () => events.end(cause));
    this.#socket.resume();
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function explainConnect(error: unknown, path: string): unknown {
  switch (systemCode(error)) {
    case "ENOENT":
    case "ENOTDIR":
      return new KvmsecError(qmpErrorCodes.noSocket, `There is no QMP socket at ${path}.`, {
        hint: "'kvmsec targets' lists the QEMUs of this host and their sockets.",
        cause: error,
      });
    case "ECONNREFUSED":
    case "ENOTSOCK":
      return new KvmsecError(qmpErrorCodes.refused, `Nobody listens at ${path}.`, {
        hint: "The QEMU that made this socket has ended, or it is not a listening socket.",
        cause: error,
      });
    case "EACCES":
    case "EPERM":
      return new KvmsecError(qmpErrorCodes.denied, `You may not connect to ${path}.`, {
        hint: "Run kvmsec as the user who owns the socket, or as root.",
        cause: error,
      });
    case "EAGAIN":
      return new KvmsecError(qmpErrorCodes.busy, `Too many clients wait for ${path}.`, {
        hint: "A monitor serves one client at a time: end the others, or give QEMU a second -qmp.",
        cause: error,
      });
    default:
      return error;
  }
}
