import { z } from "zod";

/** Grades, the least first, as the checks give them. */
export const severities = ["info", "low", "medium", "high", "critical"] as const;
export const confidences = ["low", "medium", "high"] as const;

/** What can be done about a finding, the mildest first. */
export const reactions = [
  "observe",
  "alert",
  "freeze",
  "isolate",
  "capture",
  "repair",
  "kill-process",
  "restore",
  "restart",
  "shutdown",
] as const;
export type Reaction = (typeof reactions)[number];

/** What ends a run of a guest. */
export const ending: ReadonlySet<Reaction> = new Set(["restore", "restart", "shutdown"]);

/** What cannot be taken back: the guest's state of that moment, or a part of it, is lost. */
export const destructive: ReadonlySet<Reaction> = new Set(["repair", "kill-process", ...ending]);

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30s`, `10m`, `2h`, `7d`; read as milliseconds. */
export const duration = z
  .string()
  .regex(/^[1-9]\d{0,5}[smhd]$/, "write a duration as 30s, 10m, 2h or 7d")
  .transform((text) => Number(text.slice(0, -1)) * units[text.at(-1) as keyof typeof units])
  .describe("A duration: 30s, 10m, 2h, 7d");

const pattern = z.string().min(1).max(128).describe("A name; * stands for any characters");
const count = z.int().min(1).max(1000);

const condition = z
  .strictObject({
    checks: z.array(pattern).min(1).optional().describe("Ids of checks"),
    severity: z.enum(severities).optional().describe("At least this severe"),
    confidence: z.enum(confidences).optional().describe("At least this sure"),
    guests: z.array(pattern).min(1).optional().describe("Names of guests, or targets"),
    repeated: z
      .strictObject({ times: count, within: duration })
      .optional()
      .describe("The same finding seen by so many sweeps in so long a time"),
    agreement: count
      .optional()
      .describe("So many checks that do not depend on each other have such a finding at once"),
  })
  .describe("All of it must hold; what is left out always holds");

export const ruleSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "use a-z, 0-9 and -"),
  when: condition.default({}),
  do: z.array(z.enum(reactions)).min(1).max(reactions.length).describe("In this order"),
});

/** As `Date.getUTCDay` counts them. */
export const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

const guests = z.array(pattern).min(1).default(["*"]);

const once = z
  .strictObject({
    guests,
    from: z.iso.datetime({ offset: true }),
    until: z.iso.datetime({ offset: true }),
  })
  .refine(({ from, until }) => Date.parse(from) < Date.parse(until), "it ends before it begins");

const weekly = z
  .strictObject({
    guests,
    days: z.array(z.enum(weekdays)).min(1),
    at: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "write a time of day as 22:30"),
    for: duration,
  })
  .refine((window) => window.for <= units.d, "it is longer than a day");

const window = z
  .union([once, weekly])
  .describe("In this time nothing is done but to observe and alert; `at` is in UTC");

/** The parts of a configuration that decide what is done about findings. */
export const policyShape = {
  profile: z
    .enum(["observe", "strict"])
    .default("observe")
    .describe("The rules to begin with; your own come before them"),
  rules: z.array(ruleSchema).max(256).default([]),
  limit: z
    .strictObject({ actions: count, within: duration })
    .default({ actions: 4, within: units.h })
    .describe("So many reactions beyond alerts upon one guest in so long a time"),
  cooldown: duration
    .default(units.h)
    .describe("Before it is over, no costly reaction is repeated on one run of a guest"),
  maintenance: z.array(window).max(256).default([]),
  approval: z
    .array(z.enum(reactions))
    .default([...destructive])
    .describe("What a person has to approve first"),
  approvalExpiry: duration
    .default(units.d)
    .describe("What nobody approved in so long a time is not done any more"),
  dryRun: z.boolean().default(false).describe("Decide and tell, but do nothing"),
};

export const policySchema = z.strictObject(policyShape);

export type Rule = z.output<typeof ruleSchema>;
export type Policy = z.output<typeof policySchema>;
