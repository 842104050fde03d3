import type { Sweep } from "./sweep.ts";

/** The fields of `kvmsec.check/1` behind its target and kernel. */
export function sweepDocument({ startedAt, durationMs, checks, findings, allowed }: Sweep): object {
  return {
    startedAt,
    durationMs,
    checks: checks.map((result) => ({ ...result, reason: result.reason ?? null })),
    findings,
    allowed,
  };
}
