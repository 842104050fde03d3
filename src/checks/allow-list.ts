import { z } from "zod";
import type { Kernel } from "../linux/kernel.ts";
import { Modules } from "../linux/module.ts";
import type { Finding, Json } from "./finding.ts";
import type { CheckResult } from "./look.ts";
import type { Sweep } from "./sweep.ts";

const name = z.string().min(1).max(128);
const buildId = z
  .string()
  .regex(/^[0-9a-f]{16,64}$/, "a build id is 16 to 64 hexadecimal digits, as kvmsec info shows it");

/** One thing that is known and meant: so narrow that nothing else hides behind it. */
export const allowSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "use a-z, 0-9 and -"),
    reason: z.string().min(1).max(1024).describe("Why it is meant, for whoever reads the report"),
    guests: z.array(name).min(1).default(["*"]),
    until: z.iso.datetime({ offset: true }).optional().describe("From then on it counts no more"),
    finding: name.optional().describe("The id of one finding"),
    check: name.optional().describe("Of this check only; goes with kernel or module"),
    kernel: z
      .strictObject({ buildId, symbol: name })
      .optional()
      .describe("A place in, or a function of, the kernel of that build id"),
    module: z
      .strictObject({ name, buildId })
      .optional()
      .describe("Code of the module of that name and build id"),
  })
  .refine(
    ({ finding, kernel, module }) =>
      [finding, kernel, module].filter((key) => key !== undefined).length === 1,
    "give one of finding, kernel and module",
  )
  .refine(
    ({ finding, check }) => (finding === undefined) === (check !== undefined),
    "check goes with kernel and module, and is needed there",
  )
  .describe("A finding that is known and meant: shown as allowed, and no reason to react");

export type AllowEntry = z.output<typeof allowSchema>;

/** A finding that the configuration allows, and by which entry. */
export type AllowedFinding = {
  readonly by: string;
  readonly reason: string;
  readonly finding: Finding;
};

/**
 * Takes out of a sweep what is allowed, and keeps it beside the findings with the entry's name.
 * Pure but for what it asks of the guest: the kernel's build id, and those of its modules.
 */
export function applyAllowList(
  sweep: Sweep,
  kernel: Pick<Kernel, "identity">,
  entries: readonly AllowEntry[],
  modules: () => ReadonlyMap<string, string | undefined>,
): Sweep {
  const live = entries.filter(
    ({ until }) => until === undefined || Date.parse(until) > +sweep.startedAt,
  );
  if (live.length === 0 || sweep.findings.length === 0) return sweep;
  const facts = { kernel: kernel.identity.buildId, modules: modules() };
  const allowed: AllowedFinding[] = [];
  const findings = sweep.findings.filter((finding) => {
    const entry = live.find((one) => allows(one, finding, facts));
    if (entry !== undefined) allowed.push({ by: entry.name, reason: entry.reason, finding });
    return entry === undefined;
  });
  const left = new Set(findings.map(({ id }) => id));
  const checks = sweep.checks.map((result) => without(result, left));
  return { ...sweep, checks, findings, allowed: [...sweep.allowed, ...allowed] };
}

function without(result: CheckResult, left: ReadonlySet<string>): CheckResult {
  const findings = result.findings.filter((id) => left.has(id));
  if (findings.length === result.findings.length) return result;
  const rest = result.reason === undefined ? "pass" : "error";
  const status = result.status === "fail" && findings.length === 0 ? rest : result.status;
  return { ...result, findings, status };
}

type Facts = {
  readonly kernel: string | undefined;
  readonly modules: ReadonlyMap<string, string | undefined>;
};

function allows(entry: AllowEntry, finding: Finding, { kernel, modules }: Facts): boolean {
  if (entry.finding !== undefined) return finding.id === entry.finding;
  if (finding.check !== entry.check) return false;
  if (entry.kernel !== undefined) {
    const { symbol } = entry.kernel;
    return kernel === entry.kernel.buildId && places(finding).some((place) => isIn(place, symbol));
  }
  const { name, buildId } = entry.module ?? {};
  if (name === undefined || buildId === undefined || modules.get(name) !== buildId) return false;
  return places(finding).some((place) => place.endsWith(` [${name}]`));
}

/** Where it is and whose function is called, not where the function leads from there. */
function places({ subject, evidence }: Finding): string[] {
  return [...texts(subject), ...texts(evidence["target"] ?? null)];
}

function texts(value: Json): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(texts) : [];
}

/** As `CodeOwners.describe` writes a place in the kernel: `do_exit`, `do_exit+0x12`. */
function isIn(place: string, symbol: string): boolean {
  return (
    place === symbol ||
    (place.startsWith(symbol) && /^\+0x[0-9a-f]+$/.test(place.slice(symbol.length)))
  );
}

/** Build ids of the loaded modules; none where two go by one name, because then it names neither. */
export function moduleBuildIds(kernel: Kernel): Map<string, string | undefined> {
  const ids = new Map<string, string | undefined>();
  for (const { name: one, buildId: id } of new Modules(kernel).all(kernel.budget())) {
    ids.set(one, ids.has(one) ? undefined : id);
  }
  return ids;
}
