import { apparmorState } from "../linux/apparmor.ts";
import type { ApparmorMode } from "../linux/apparmor.ts";
import { auditState } from "../linux/audit.ts";
import type { Feature } from "../linux/features.ts";
import { selinuxState } from "../linux/selinux.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Confidence, Json, Severity } from "./finding.ts";
import { strongestSeen } from "./watched-values.ts";

/** SELinux, AppArmor and the audit system are in force as they were, and agree with themselves. */
export const securityModules: Check = {
  id: "security-modules",
  proves:
    "SELinux enforces what it tells programs that it enforces, with a policy; AppArmor is on with its profiles; each audit rule is applied; and none of them was turned off or made permissive while watched.",
  reads:
    "selinux_state with its status page; apparmor_enabled, aa_g_profile_mode and the profiles of root_ns; audit_enabled, audit_n_rules, audit_rules_list, audit_filter_list, audit_inode_hash",
  attack: ["T1562.001", "T1685"],
  limits:
    "Which modes and rules were chosen is not judged: at the first look only what contradicts itself is told. What a policy allows is not read.",
  run(context) {
    checkSelinux(context);
    checkApparmor(context);
    checkAudit(context);
  },
};

function checkSelinux(context: CheckContext): void {
  const state = selinuxState(context.kernel);
  if (state === undefined) return missing(context, "SELinux", "what SELinux does");
  context.cover(1);
  const { initialized, enforcing, policy, told } = state;
  const evidence = { ...state, enforcing: enforcing ?? null, told: told ?? null };
  if (initialized && !policy) {
    contradiction(context, "SELinux is in force but has no policy.", "selinux policy", evidence);
  }
  if (enforcing !== undefined && told !== undefined && enforcing !== told) {
    const does = enforcing ? "enforces" : "does not enforce";
    const says = told ? "it does" : "it does not";
    const title = `SELinux ${does} its policy, but tells programs that ${says}.`;
    contradiction(context, title, "selinux status", evidence);
  }
  watched(context, "SELinux's policy", initialized && policy ? 1 : 0, "critical");
  if (enforcing !== undefined) watched(context, "SELinux's enforcing", enforcing ? 1 : 0, "high");
}

function checkApparmor(context: CheckContext): void {
  const { kernel } = context;
  const problem = (reason: string): void => context.unseen(reason);
  const state = apparmorState(kernel, kernel.budget(), problem);
  if (state === undefined) return missing(context, "AppArmor", "what AppArmor does");
  const { enabled, initialized, mode, profiles } = state;
  context.cover(1 + profiles.length);
  if (initialized && !enabled) {
    const title = "AppArmor was started but is not in force.";
    contradiction(context, title, "apparmor enabled", { enabled, initialized, mode });
  }
  watched(context, "AppArmor", enabled ? 1 : 0, "critical");
  watched(context, "AppArmor's mode of enforcing", forbids(mode) ? 1 : 0, "high");
  const enforced = profiles.filter((profile) => forbids(profile.mode)).length;
  // Packages and containers take their own away, seldom the last one.
  watched(context, "AppArmor's profiles that enforce", Math.min(enforced, 1), "medium", "medium");
}

/** The other modes let pass: complain, unconfined, prompt. */
function forbids(mode: ApparmorMode): boolean {
  return mode === "enforce" || mode === "kill";
}

function checkAudit(context: CheckContext): void {
  const { kernel } = context;
  const problem = (reason: string): void => context.unseen(reason);
  const state = auditState(kernel, kernel.budget(), problem);
  if (state === undefined) return missing(context, "audit", "what is audited");
  const { enabled, counted, shown, listed, applied } = state;
  context.cover(1 + listed);
  if (counted !== shown || listed !== applied) {
    const title = `Audit rules are not where they belong: ${listed} are shown, ${applied} are applied, and of ${shown} for system calls ${counted} are counted.`;
    contradiction(context, title, "audit rules", state);
  }
  // Locked (2), the kernel itself refuses every change until it boots anew.
  const before = strongestSeen(kernel, "audit enabled", enabled);
  watched(context, "Auditing", enabled, before === 2 ? "critical" : "medium");
  // auditd takes all away and puts them back when it is restarted.
  watched(context, "The set of audit rules", Math.min(listed, 1), "low", "medium");
}

/** Nothing to look at, where the kernel was built without it; else it could not be read. */
function missing(context: CheckContext, feature: Feature, what: string): void {
  if (!context.without(feature)) context.unseen(`${what} cannot be read`);
}

/** Two things that the kernel keeps together do not agree: no order of events explains it. */
function contradiction(
  context: CheckContext,
  title: string,
  what: string,
  evidence: Readonly<Record<string, Json>>,
): void {
  context.report({
    severity: "critical",
    confidence: "high",
    title,
    subject: { contradiction: what },
    evidence,
  });
}

/** Tells where something is weaker than it has been since the guest is watched. */
function watched(
  context: CheckContext,
  what: string,
  value: number,
  severity: Severity,
  confidence: Confidence = "high",
): void {
  const before = strongestSeen(context.kernel, what, value);
  if (value >= before) return;
  const how = value === 0 ? "was turned off or taken away" : "was made weaker";
  context.report({
    severity,
    confidence,
    title: `${what} ${how} while watched.`,
    subject: { weaker: what },
    evidence: { before, seen: value },
  });
}
