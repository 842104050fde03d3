import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { RunState } from "../qmp/generated.ts";
import { monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";

/** What became of a guest's run. */
export type RunChange = { readonly before: RunState; readonly after: RunState };

/** Stops every vCPU of the guest, and asks whether they stand. Throws KVMSEC_FREEZE_FAILED. */
export async function freeze(monitor: QmpConnection): Promise<RunChange> {
  const before = (await monitor.execute("query-status")).status;
  await monitor.execute("stop");
  const after = await monitor.execute("query-status");
  if (!after.running) return { before, after: after.status };
  throw new KvmsecError("KVMSEC_FREEZE_FAILED", `QEMU took 'stop', but the guest still runs.`, {
    hint: "Another client of its monitor may have continued it.",
  });
}

/**
 * Lets a guest run on that was stopped only for a moment. It must not stand still for ever because a
 * monitor broke under our hands, so another connection is tried.
 */
export async function runOn(monitor: QmpConnection, guest: ControlledGuest): Promise<void> {
  try {
    await monitor.execute("cont");
  } catch {
    using another = await monitorOf(guest);
    await resume(another);
  }
}

/** Lets a frozen guest run on, and asks whether it does. Throws KVMSEC_RESUME_FAILED. */
export async function resume(monitor: QmpConnection): Promise<RunChange> {
  const before = (await monitor.execute("query-status")).status;
  await monitor.execute("cont");
  const after = await monitor.execute("query-status");
  if (after.running) return { before, after: after.status };
  throw new KvmsecError(
    "KVMSEC_RESUME_FAILED",
    `The guest does not run on; it is ${after.status}.`,
    {
      hint: "A guest that has shut down or panicked has to be restored or restarted.",
    },
  );
}
