import { findingId } from "../checks/finding.ts";
import type { Finding } from "../checks/finding.ts";
import type { CheckResult } from "../checks/look.ts";
import type { Kernel } from "../linux/kernel.ts";
import { matches } from "../policy/decide.ts";
import { ps } from "../views/ps.ts";
import type { LivenessRule } from "./config.ts";

/** The id under which liveness speaks beside the checks. */
export const LIVENESS = "liveness";

/** What a rule needs to know of a process. */
export type LiveProcess = {
  readonly comm: string;
  readonly exe: string | undefined;
  readonly cmdline: string | undefined;
  readonly state: string;
};

export type LivenessLook = { readonly findings: Finding[]; readonly result: CheckResult };

/**
 * Counts the processes that must be alive, twice where a count does not fit: the guest runs, and
 * one that is just being restarted is no finding. A list that could not be read whole proves no
 * absence.
 */
export function lookForLife(kernel: Kernel, rules: readonly LivenessRule[]): LivenessLook {
  const start = performance.now();
  let { processes, problems } = processesOf(kernel);
  let findings = judge(rules, processes, problems.length === 0);
  if (findings.length > 0) {
    kernel.refresh();
    ({ processes, problems } = processesOf(kernel));
    const first = new Set(findings.map(({ id }) => id));
    findings = judge(rules, processes, problems.length === 0).filter(({ id }) => first.has(id));
  }
  const whole = problems.length === 0;
  return {
    findings,
    result: {
      id: LIVENESS,
      status: findings.length > 0 ? "fail" : whole ? "pass" : "error",
      findings: findings.map(({ id }) => id),
      durationMs: performance.now() - start,
      coverage: { looked: processes.length, of: processes.length + problems.length },
      reason: problems[0],
    },
  };
}

/** The rules that do not hold. Too few is only said of a whole list. */
export function judge(
  rules: readonly LivenessRule[],
  processes: readonly LiveProcess[],
  whole: boolean,
): Finding[] {
  return rules.flatMap((rule) => {
    const count = processes.filter((process) => isAlive(process) && fits(rule, process)).length;
    const few = count < rule.min;
    if ((few && !whole) || (!few && count <= (rule.max ?? count))) return [];
    return [report(rule, count, few)];
  });
}

/** A zombie has ended; one that is stopped does nothing. */
function isAlive({ state }: LiveProcess): boolean {
  return !["Z", "X", "T"].includes(state);
}

function fits({ exe, comm, cmdline }: LivenessRule, process: LiveProcess): boolean {
  return (
    fitsOne(exe, process.exe) && fitsOne(comm, process.comm) && fitsOne(cmdline, process.cmdline)
  );
}

function fitsOne(pattern: string | undefined, value: string | undefined): boolean {
  return pattern === undefined || (value !== undefined && matches([pattern], value));
}

function report(rule: LivenessRule, count: number, few: boolean): Finding {
  const { name, severity, confidence, min, max } = rule;
  const subject = { rule: name, wrong: few ? "too few" : "too many" };
  const wanted = few ? `at least ${min}` : `at most ${max}`;
  return {
    id: findingId(LIVENESS, subject),
    check: LIVENESS,
    severity,
    confidence,
    title: `${count} processes of ${name} are alive; there must be ${wanted}`,
    attack: few ? ["T1562.001"] : [],
    subject,
    evidence: { count, min, max: max ?? null },
  };
}

function processesOf(kernel: Kernel): { processes: LiveProcess[]; problems: string[] } {
  const problems: string[] = [];
  const processes: LiveProcess[] = [];
  for (const row of ps.read(kernel, {}, (problem) => problems.push(String(problem)))) {
    const { comm, exe, state, commandLine } = row;
    processes.push({ comm, exe, state, cmdline: commandLine?.text });
  }
  return { processes, problems };
}
