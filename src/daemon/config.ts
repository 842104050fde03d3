import { z } from "zod";
import { allowSchema } from "../checks/allow-list.ts";
import { DEFAULT_KEEP, MIN_KEEP } from "../vm/packet-files.ts";
import { parseSize } from "../vm/size.ts";
import { confidences, duration, policyShape, severities } from "../policy/schema.ts";

const name = z.string().min(1).max(128);
const count = z.int().min(0).max(1_000_000);

const size = z
  .string()
  .transform((text, context) => {
    try {
      return parseSize(text);
    } catch {
      context.addIssue({ code: "custom", message: "write a size as 512M or 20G" });
      return z.NEVER;
    }
  })
  .describe("A size: 512M, 20G");

const livenessSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "use a-z, 0-9 and -"),
    guests: z.array(name).min(1).default(["*"]),
    exe: name.optional().describe("Path of the program, as /proc/PID/exe; * for any characters"),
    comm: name.optional().describe("task_struct.comm"),
    cmdline: name.optional().describe("The command line; * for any characters"),
    min: count.default(1),
    max: count.optional(),
    startup: duration
      .default(120_000)
      .describe("A guest that booted so recently may not have started it yet"),
    severity: z.enum(severities).default("high"),
    confidence: z.enum(confidences).default("high"),
  })
  .refine(
    ({ exe, comm, cmdline }) => (exe ?? comm ?? cmdline) !== undefined,
    "it names no process: give exe, comm or cmdline",
  )
  .refine(({ min, max }) => max === undefined || min <= max, "min is above max")
  .describe("Processes that must be alive in a guest, and how many of them");

const timing = {
  interval: duration.describe("From the end of one sweep to the next"),
  jitter: z.number().min(0).max(0.9).describe("The part of it left to chance"),
  seldom: duration.describe("A costly check is run after so long at the latest"),
  budget: z
    .number()
    .min(0.001)
    .max(1)
    .describe("The part of one processor that the sweeps of one guest may take"),
  sweepLimit: duration.describe("A sweep that takes longer is a hang"),
};

const scheduleSchema = z
  .strictObject({ guests: z.array(name).min(1), ...z.strictObject(timing).partial().shape })
  .describe("What is different for some guests; the first that names a guest counts");

const packetSchema = z.strictObject({
  guests: z.array(name).min(1),
  keep: size
    .refine((bytes) => bytes >= MIN_KEEP, "at least 1M")
    .default(DEFAULT_KEEP)
    .describe("The last so much is kept"),
});

/** What `kvmsec serve --config` reads. */
export const configSchema = z
  .strictObject({
    ...policyShape,
    vms: z.boolean().default(true).describe("Guard the VMs of this home"),
    targets: z
      .array(name)
      .max(256)
      .default([])
      .describe("Other guests: pid:1234, qmp:PATH, libvirt:DOMAIN or a running guest's name"),
    interval: timing.interval.default(30_000),
    jitter: timing.jitter.default(0.2),
    seldom: timing.seldom.default(300_000),
    budget: timing.budget.default(0.05),
    sweepLimit: timing.sweepLimit.default(300_000),
    hang: duration
      .default(120_000)
      .describe("A guest that runs and whose clock stands still for so long hangs"),
    schedules: z.array(scheduleSchema).max(256).default([]),
    allow: z.array(allowSchema).max(1024).default([]),
    evidence: z.string().startsWith("/").optional().describe("Folder for captures"),
    packets: z
      .array(packetSchema)
      .max(256)
      .default([])
      .describe("VMs whose packets are kept; the first that names a VM counts"),
    compress: z
      .enum(["zstd", "none"])
      .default("zstd")
      .describe("How captures are stored: packed when the reactions are over, or as they are"),
    retention: z
      .strictObject({
        maxAge: duration.optional().describe("Older packages are deleted"),
        maxBytes: size
          .optional()
          .describe("The oldest are deleted until no more than this is left"),
        keep: z.int().min(0).max(1_000_000).default(1).describe("So many of the newest stay"),
      })
      .optional()
      .describe("How long evidence is kept; what is under hold is never deleted"),
    liveness: z.array(livenessSchema).max(256).default([]),
  })
  .describe("Configuration of kvmsec serve");

export type Config = z.output<typeof configSchema>;
export type LivenessRule = Config["liveness"][number];
