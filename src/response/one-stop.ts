import { join } from "node:path";
import { syncPath } from "../base/durable.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { BehindResult } from "./copy-behind.ts";
import { DeviceStateWriter } from "./device-state.ts";
import { copyDisk, diskFile } from "./disk-copy.ts";
import type { Disk } from "./disk-copy.ts";
import { Disturbance } from "./disturbance.ts";
import { runOn } from "./freeze.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Job } from "./job.ts";
import type { PartsBehind, RamSource, RamTarget } from "./ram-source.ts";

/** The step that keeps QEMU's settings for migrations as they were found. */
export const SETTINGS_STEP = "migration-settings";

/** What is to be copied in one stop of a guest. */
export type StopWork = {
  readonly monitor: QmpConnection;
  readonly folder: string;
  readonly ram: RamSource;
  readonly target: RamTarget;
  readonly job: Job;
  readonly disks: readonly Disk[];
  readonly guest: ControlledGuest;
  readonly wasRunning: boolean;
  /** What copies the RAM afterwards, or why it is copied in the stop. */
  readonly behind: PartsBehind | string;
  /** Called, and waited for, while the guest stands still. */
  readonly onStopped: () => void;
};

/** What a stop left. */
export type Stopped = {
  readonly timeline: Timeline;
  /** What QEMU says of each vCPU. */
  readonly registers: string;
  /** The rest of the RAM, on its way. */
  readonly copying: Promise<BehindResult>;
};

/** When each part was done, from the stop on. */
export class Timeline {
  readonly entries: { at: string; what: string; ms: number }[] = [];
  readonly #start = performance.now();

  get elapsed(): number {
    return this.entries.at(-1)?.ms ?? 0;
  }

  add(what: string): void {
    const ms = performance.now() - this.#start;
    this.entries.push({ at: new Date().toISOString(), what, ms });
  }
}

/**
 * Does in one stop what has to be of one moment: registers, devices, disks, and the beginning of
 * the RAM's copy. Returns with the guest running on where it ran before, and so it does whatever
 * fails. Throws KVMSEC_GUEST_MIGRATING, KVMSEC_GUEST_DISTURBED.
 */
export async function inOneStop(work: StopWork): Promise<Stopped> {
  const { monitor, guest, job, disks, wasRunning, behind } = work;
  await using devices = await DeviceStateWriter.prepare(monitor, guest.qemu.uid, (before) =>
    job.step(SETTINGS_STEP, before),
  );
  // QEMU syncs its disks while it stops: what is on the disk before need not be waited for then.
  for (const disk of wasRunning ? disks : []) syncPath(disk.path);
  await job.step("stop", { wasRunning });
  let isOurs = wasRunning;
  try {
    if (typeof behind !== "string") await behind.guard();
    const timeline = new Timeline();
    if (wasRunning) await monitor.execute("stop");
    using others = new Disturbance(monitor);
    timeline.add("stopped");
    work.onStopped();
    const taken = await take(work, devices, timeline);
    // QEMU does one after the other: nobody can begin a migration before its settings are back.
    await Promise.all([devices.giveBack(), monitor.execute(wasRunning ? "cont" : "query-status")]);
    isOurs = false;
    timeline.add(wasRunning ? "continued" : "left stopped");
    others.mustBeNone(wasRunning ? 1 : 0);
    return { ...taken, timeline };
  } catch (error) {
    // Nobody would serve a guest that waits for a page.
    if (typeof behind !== "string") await behind[Symbol.asyncDispose]();
    if (isOurs) await runOn(monitor, guest);
    throw error;
  }
}

async function take(
  { monitor, folder, ram, target, disks, behind }: StopWork,
  devices: DeviceStateWriter,
  timeline: Timeline,
): Promise<Omit<Stopped, "timeline">> {
  const registers = await monitor.human("info registers -a");
  timeline.add("registers");
  await devices.save(join(folder, "device-state.bin"));
  timeline.add("device state");
  for (const disk of disks) copyDisk(disk, join(folder, diskFile(disk)));
  timeline.add("disks");
  if (typeof behind === "string") {
    const copied = { bytesWritten: ram.copyNow(target), waits: 0 };
    timeline.add("memory");
    return { registers, copying: Promise.resolve(copied) };
  }
  const { copied } = await behind.start();
  // Awaited by the caller; until then a failure must not count as unhandled.
  copied.catch(() => {});
  timeline.add("write-protected");
  return { registers, copying: copied };
}
