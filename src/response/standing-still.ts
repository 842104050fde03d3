import type { QmpConnection } from "../qmp/connection.ts";
import { freeze, runOn } from "./freeze.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Job } from "./job.ts";

/**
 * Does something while the guest stands still, and lets it run on if it ran, whatever came of it.
 * The journal says beforehand whether it ran, for those who find it stopped.
 */
export async function standingStill<Result>(
  guest: ControlledGuest,
  monitor: QmpConnection,
  job: Job,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly wasRunning: boolean; readonly stoodMs: number }> {
  const { running: wasRunning } = await monitor.execute("query-status");
  await job.step("stop", { wasRunning });
  const start = performance.now();
  if (wasRunning) await freeze(monitor);
  try {
    const result = await work();
    return { result, wasRunning, stoodMs: performance.now() - start };
  } finally {
    if (wasRunning) await runOn(monitor, guest);
  }
}
