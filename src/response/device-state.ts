import { chownSync, createReadStream, createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { connectSocket } from "../qmp/transport.ts";
import { migrationSettings, setForDevices, setMigration } from "./migration-settings.ts";
import type { MigrationSettings } from "./migration-settings.ts";

const TIMEOUT_MS = 60_000;

/**
 * Writes the state of a stopped guest's devices and vCPUs into a file: a migration that leaves out
 * RAM which is shared (x-ignore-shared). It goes through a socket, since the sandbox forbids QEMU
 * to start helpers. RAM that is not shared is part of the stream. Afterwards the guest is
 * `postmigrate` and its disks are flushed and let go of, until `cont`. QEMU's settings for migrations
 * are to be given back before that.
 */
export class DeviceStateWriter implements AsyncDisposable {
  readonly #monitor: QmpConnection;
  readonly #place: Listening;
  readonly #before: MigrationSettings;
  #lent = true;

  private constructor(monitor: QmpConnection, place: Listening, before: MigrationSettings) {
    this.#monitor = monitor;
    this.#place = place;
    this.#before = before;
  }

  /**
   * Gets all ready that can be before the guest stands still. `onSettings` gets QEMU's settings
   * before they are changed, for whoever has to put them back if we die. Throws
   * KVMSEC_GUEST_MIGRATING.
   */
  static async prepare(
    monitor: QmpConnection,
    owner: number,
    onSettings: (before: MigrationSettings) => Promise<void> = async () => {},
  ): Promise<DeviceStateWriter> {
    const before = await migrationSettings(monitor);
    await onSettings(before);
    const place = await listen(owner);
    try {
      await setForDevices(monitor);
      return new DeviceStateWriter(monitor, place, before);
    } catch (error) {
      await place[Symbol.asyncDispose]();
      throw error;
    }
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

  /** QEMU's settings for migrations are again what they were: who migrates next means all the RAM. */
  async giveBack(): Promise<void> {
    this.#lent = false;
    await setMigration(this.#monitor, this.#before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place[Symbol.asyncDispose]();
    if (!this.#lent) return;
    // Something else has failed before, and that counts: its QEMU may be gone, and the settings with it.
    await this.giveBack().catch(() => {});
  }
}

/** Feeds such a file to a QEMU that was started with `-incoming defer`; it is then paused or runs. */
export async function loadDeviceState(monitor: QmpConnection, path: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-"));
  try {
    const socket = join(folder, "incoming");
    const before = await migrationSettings(monitor);
    await setForDevices(monitor);
    const over = waitForMigration(monitor);
    over.catch(() => {});
    await monitor.execute("migrate-incoming", { uri: `unix:${socket}` });
    // QEMU hangs up as soon as it has read all, perhaps before we have: its own word counts.
    pipeline(createReadStream(path), await connectSocket(socket)).catch(() => {});
    await over;
    await setMigration(monitor, before);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
