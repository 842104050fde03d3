import { readFileSync } from "node:fs";
import { z } from "zod";
import { systemCode, usageError } from "../base/errors.ts";
import { loadYaml } from "../policy/load.ts";
import { confidences, duration, policyShape, severities } from "../policy/schema.ts";

const name = z.string().min(1).max(128);
const count = z.int().min(0).max(1_000_000);

const livenessSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "use a-z, 0-9 and -"),
    guests: z.array(name).min(1).default(["*"]),
    exe: name.optional().describe("Path of the program, as /proc/PID/exe; * for any characters"),
    comm: name.optional().describe("task_struct.comm"),
    cmdline: name.optional().describe("The command line; * for any characters"),
    min: count.default(1),
    max: count.optional(),
    severity: z.enum(severities).default("high"),
    confidence: z.enum(confidences).default("high"),
  })
  .refine(
    ({ exe, comm, cmdline }) => (exe ?? comm ?? cmdline) !== undefined,
    "it names no process: give exe, comm or cmdline",
  )
  .refine(({ min, max }) => max === undefined || min <= max, "min is above max")
  .describe("Processes that must be alive in a guest, and how many of them");

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
    interval: duration.default(30_000).describe("From the end of one sweep to the next"),
    jitter: z.number().min(0).max(0.9).default(0.2).describe("The part of it left to chance"),
    sweepLimit: duration.default(300_000).describe("A sweep that takes longer is a hang"),
    evidence: z.string().startsWith("/").optional().describe("Folder for captures"),
    liveness: z.array(livenessSchema).max(256).default([]),
  })
  .describe("Configuration of kvmsec serve");

export type Config = z.output<typeof configSchema>;
export type LivenessRule = Config["liveness"][number];

/** Reads a configuration file; without one, the defaults. Throws KVMSEC_CONFIG_INVALID, KVMSEC_CONFIG_UNREADABLE. */
export function loadConfig(path?: string): Config {
  if (path === undefined) return configSchema.parse({});
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const reason = systemCode(error) ?? String(error);
    throw usageError("KVMSEC_CONFIG_UNREADABLE", `${path} cannot be read: ${reason}`);
  }
  return loadYaml(configSchema, text, path);
}
