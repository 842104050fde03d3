import { uptime } from "node:os";
import type { Finding } from "../checks/finding.ts";
import type { CheckResult } from "../checks/look.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import type { LivenessRule } from "./config.ts";
import { LIVENESS } from "./liveness.ts";

type Look = { readonly checks: readonly CheckResult[]; readonly findings: readonly Finding[] };

/** Of proc(5), field 22: so many in a second. */
const TICKS = 100;

/**
 * Gives a guest time to start what must be alive in it. From its boot, as the host's clock has it,
 * until a rule's `startup` is over, too few are no finding yet; but what was once seen alive in that
 * boot is missed at once.
 */
export class StartupPatience {
  #bootedAt: number;
  readonly #alive = new Set<string>();

  /** Of a guest of which nothing else is known than when its QEMU was started. */
  constructor({ startTime }: Pick<ProcessIdentity, "startTime">) {
    this.#bootedAt = Date.now() - uptime() * 1000 + (startTime / TICKS) * 1000;
  }

  /** It boots anew. */
  rebooted(): void {
    this.#bootedAt = Date.now();
    this.#alive.clear();
  }

  /**
   * A look without the findings that are not due yet. Its look at liveness is then not a whole one:
   * what is waited for is not said to be well.
   */
  take<Seen extends Look>(seen: Seen, rules: readonly LivenessRule[]): Seen {
    const result = seen.checks.find(({ id }) => id === LIVENESS);
    if (result === undefined) return seen;
    const missing = new Map(seen.findings.flatMap((finding) => missed(finding)));
    if (result.reason === undefined) {
      for (const { name } of rules) if (!missing.has(name)) this.#alive.add(name);
    }
    const since = Date.now() - this.#bootedAt;
    const waited = rules.filter(
      ({ name, startup }) => missing.has(name) && since < startup && !this.#alive.has(name),
    );
    if (waited.length === 0) return seen;
    const early = new Set(waited.map(({ name }) => missing.get(name)));
    const findings = result.findings.filter((id) => !early.has(id));
    const reason = `the guest may still be starting ${waited.map(({ name }) => name).join(", ")}`;
    const status = findings.length > 0 ? "fail" : "error";
    const told: CheckResult = { ...result, status, findings, reason };
    return {
      ...seen,
      checks: seen.checks.map((one) => (one === result ? told : one)),
      findings: seen.findings.filter(({ id }) => !early.has(id)),
    };
  }
}

/** The rule of which too few are alive, and the id of the finding that says so. */
function missed({ check, subject, id }: Finding): [string, string][] {
  if (check !== LIVENESS || subject["wrong"] !== "too few") return [];
  return [[String(subject["rule"]), id]];
}
