import { GuestClock } from "../linux/clock.ts";
import { KernelLog } from "../linux/printk.ts";
import type { LogRecord } from "../linux/printk.ts";
import type { View } from "./view.ts";

/** A record with the guest's time of day; undefined where its clock cannot be read. */
export type LogRow = LogRecord & { readonly time: Date | undefined };

/** The kernel's log, the oldest record first, with what `dmesg --clear` has hidden. */
export const dmesg: View<LogRow> = {
  schema: "kvmsec.dmesg/1",
  list: "records",
  *read(kernel, _options, problem) {
    const clock = new GuestClock(kernel);
    for (const record of new KernelLog(kernel).records(kernel.budget(), problem)) {
      yield { ...record, time: clock.date(record.nanoseconds) };
    }
  },
  json: ({ nanoseconds, ...row }) => ({
    ...row,
    time: row.time ?? null,
    /** Seconds since boot, as dmesg prints them. */
    seconds: Math.floor(nanoseconds / 1000) / 1e6,
    comm: row.comm ?? null,
    subsystem: row.subsystem ?? null,
    device: row.device ?? null,
  }),
};
