import { chownSync, createReadStream, createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { connectSocket } from "../qmp/transport.ts";

const TIMEOUT_MS = 60_000;
/** QEMU holds back 128 MiB/s unless told (migration/options.c); a local socket needs no care. */
const BANDWIDTH = 8 * 2 ** 30;

/**
 * Writes the state of a stopped guest's devices and vCPUs into a file: a migration that leaves out
 * RAM which is shared (x-ignore-shared). It goes through a socket, since the sandbox forbids QEMU
 * to start helpers. RAM that is not shared is part of the stream. Afterwards the guest is
 * `postmigrate` and its disks are flushed and let go of, until `cont`.
 */
export class DeviceStateWriter implements AsyncDisposable {
  readonly #monitor: QmpConnection;
  readonly #place: Listening;

  private constructor(monitor: QmpConnection, place: Listening) {
    this.#monitor = monitor;
    this.#place = place;
  }

  /** Gets all ready that can be before the guest stands still. */
  static async prepare(monitor: QmpConnection, owner: number): Promise<DeviceStateWriter> {
    await prepareMigration(monitor);
    return new DeviceStateWriter(monitor, await listen(owner));
  }

  async save(path: string): Promise<void> {
    const written = this.#place.receive(path);
    // Awaited below; it must not count as unhandled when QEMU refuses first.
    written.catch(() => {});
    const over = waitForMigration(this.#monitor);
    over.catch(() => {});
    await this.#monitor.execute("migrate", { uri: `unix:${this.#place.socket}` });
    await over;
    await written;
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#place[Symbol.asyncDispose]();
  }
}

/** The same of a guest that stands still already. */
export async function saveDeviceState(
  monitor: QmpConnection,
  path: string,
  owner: number,
): Promise<void> {
  await using writer = await DeviceStateWriter.prepare(monitor, owner);
  await writer.save(path);
}

/** Feeds such a file to a QEMU that was started with `-incoming defer`; it is then paused or runs. */
export async function loadDeviceState(monitor: QmpConnection, path: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-"));
  try {
    const socket = join(folder, "incoming");
    await prepareMigration(monitor);
    const over = waitForMigration(monitor);
    over.catch(() => {});
    await monitor.execute("migrate-incoming", { uri: `unix:${socket}` });
    // QEMU hangs up as soon as it has read all, perhaps before we have: its own word counts.
    pipeline(createReadStream(path), await connectSocket(socket)).catch(() => {});
    await over;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function prepareMigration(monitor: QmpConnection): Promise<void> {
  await monitor.execute("migrate-set-capabilities", {
    capabilities: [
      { capability: "x-ignore-shared", state: true },
      { capability: "events", state: true },
    ],
  });
  await monitor.execute("migrate-set-parameters", { "max-bandwidth": BANDWIDTH });
}

async function waitForMigration(monitor: QmpConnection): Promise<void> {
  const { status } = await monitor.waitFor("MIGRATION", {
    timeoutMs: TIMEOUT_MS,
    accept: (data) => ["completed", "failed", "cancelled"].includes(data.status),
  });
  if (status === "completed") return;
  throw new KvmsecError(
    "KVMSEC_DEVICE_STATE",
    `QEMU could not move the devices' state: ${status}.`,
    {
      hint: "A device of this guest may not support migration; its log tells which.",
    },
  );
}

type Listening = AsyncDisposable & {
  readonly socket: string;
  receive(path: string): Promise<void>;
};

/** A socket that only we and the user who runs the QEMU can reach. */
async function listen(owner: number): Promise<Listening> {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-"));
  const socket = join(folder, "state");
  const server: Server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(socket, () => resolve());
  });
  if (process.geteuid?.() === 0 && owner !== 0) {
    chownSync(folder, owner, -1);
    chownSync(socket, owner, -1);
  }
  return {
    socket,
    receive: (path) =>
      new Promise((resolve, reject) => {
        server.once("connection", (stream) => {
          pipeline(stream, createWriteStream(path, { mode: 0o600 })).then(resolve, reject);
        });
      }),
    async [Symbol.asyncDispose]() {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
