import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";

/** What we change of QEMU's settings for migrations, as plain data for the journal. */
export type MigrationSettings = {
  readonly capabilities: Readonly<Record<string, boolean>>;
  readonly bandwidth: number | null;
};

/** RAM that is shared stays out of the stream; each change of its state is an event. */
const CAPABILITIES = ["x-ignore-shared", "events"] as const;
/** QEMU holds back 128 MiB/s unless told (migration/options.c); a local socket needs no care. */
const BANDWIDTH = 8 * 2 ** 30;
/** States in which nobody is at it (qapi/migration.json, MigrationStatus). */
const IDLE: ReadonlySet<string> = new Set(["none", "completed", "failed", "cancelled"]);

/**
 * The settings as somebody else left them. Throws KVMSEC_GUEST_MIGRATING where somebody is moving
 * or saving the guest right now: what we would do then would end up in their stream.
 */
export async function migrationSettings(monitor: QmpConnection): Promise<MigrationSettings> {
  const { status = "none" } = await monitor.execute("query-migrate");
  if (!IDLE.has(status)) throw migrating(status);
  const known = await monitor.execute("query-migrate-capabilities");
  const parameters = await monitor.execute("query-migrate-parameters");
  const states = known.map(({ capability, state }) => [capability, state] as const);
  const ours: ReadonlySet<string> = new Set(CAPABILITIES);
  return {
    capabilities: Object.fromEntries(states.filter(([name]) => ours.has(name))),
    bandwidth: parameters["max-bandwidth"] ?? null,
  };
}

/** Sets what the saving and loading of devices' states needs. */
export function setForDevices(monitor: QmpConnection): Promise<void> {
  const capabilities = Object.fromEntries(CAPABILITIES.map((name) => [name, true]));
  return setMigration(monitor, { capabilities, bandwidth: BANDWIDTH });
}

/**
 * Sets what was set before. A guest whose next migration left its RAM out, since we once wanted
 * that, would arrive without its memory.
 */
export async function setMigration(
  monitor: QmpConnection,
  { capabilities, bandwidth }: MigrationSettings,
): Promise<void> {
  const wanted = CAPABILITIES.flatMap((capability) => {
    const state = capabilities[capability];
    return state === undefined ? [] : [{ capability, state }];
  });
  // Both are sent at once: each way to QEMU and back is a part of a guest's pause.
  await Promise.all([
    monitor.execute("migrate-set-capabilities", { capabilities: wanted }),
    bandwidth === null
      ? undefined
      : monitor.execute("migrate-set-parameters", { "max-bandwidth": bandwidth }),
  ]);
}

function migrating(status: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_GUEST_MIGRATING",
    `Somebody is moving or saving this guest right now (its migration is ${status}).`,
    { hint: "Wait until that is over; then look where the guest runs." },
  );
}
