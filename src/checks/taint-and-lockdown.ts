import { Modules } from "../linux/module.ts";
import {
  TAINT_LETTERS,
  bootWords,
  kernelTaints,
  lockdownLevels,
  securitySettings,
} from "../linux/security-settings.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Confidence, Severity } from "./finding.ts";
import { strongestSeen } from "./watched-values.ts";

/** Taints that come with a module: proprietary, forced, staging, out of tree, unsigned, livepatch, test. */
const OF_MODULES = /[PFCOEKN]/;

type Weakening = {
  readonly severity: Severity;
  readonly confidence: Confidence;
  readonly attack: readonly string[];
};

/** The kernel itself never takes these back: whoever did wrote into its memory. */
const FINAL: Weakening = {
  severity: "critical",
  confidence: "high",
  attack: ["T1562", "T1685", "T1014"],
};
/** An administrator may do it, an intruder does it first. */
const OPEN: Weakening = { severity: "low", confidence: "medium", attack: ["T1562", "T1685"] };

/** Stronger than both values that may be changed. */
const FINAL_BPF = 3;

/** How bad it is when a setting gets weaker; ptrace_scope 3 is final, below it is a matter of taste. */
const WEAKENINGS: Readonly<Record<string, (before: number) => Weakening>> = {
  lockdown: () => FINAL,
  sig_enforce: () => FINAL,
  modules_disabled: () => FINAL,
  kexec_load_disabled: () => FINAL,
  ptrace_scope: (before) => (before === 3 ? FINAL : OPEN),
  sysctl_unprivileged_bpf_disabled: (before) => (before === FINAL_BPF ? FINAL : OPEN),
  kptr_restrict: () => OPEN,
  dmesg_restrict: () => OPEN,
  sysctl_perf_event_paranoid: () => OPEN,
  randomize_va_space: () => OPEN,
};

/** What forbids root to change the kernel is as strong as it was, and taints are told as they came. */
export const taintAndLockdown: Check = {
  id: "taint-and-lockdown",
  proves:
    "The kernel has every taint that a loaded module brings; lockdown and module signatures are as the command line asks; and none of these, nor modules_disabled, kexec_load_disabled, ptrace_scope, kptr_restrict and kin, got weaker while watched.",
  reads:
    "tainted_mask and module.taints; kernel_locked_down, sig_enforce, modules_disabled, kexec_load_disabled, ptrace_scope, kptr_restrict, dmesg_restrict; saved_command_line",
  attack: ["T1562", "T1685", "T1014"],
  limits:
    "The first look at a guest only knows what contradicts itself: which settings were chosen is not judged. A taint whose module is gone is ordinary, and told only when it comes while the guest is watched.",
  run(context) {
    checkTaints(context);
    checkCommandLine(context);
    const settings = securitySettings(context.kernel);
    for (const { name, value } of settings) checkStrength(context, name, value);
    context.cover(settings.length);
  },
};

function checkTaints(context: CheckContext): void {
  const { kernel } = context;
  const taints = kernelTaints(kernel);
  if (taints === undefined) return context.unseen("tainted_mask cannot be read");
  context.cover(1);
  const carried = new Set<string>();
  const problem = (reason: string): void => context.unseen(reason);
  const modules = new Modules(kernel).all(kernel.budget(), problem);
  for (const { name, taints: own, state } of modules) {
    for (const letter of own) {
      carried.add(letter);
      // A module that is being loaded may be a step ahead of the kernel.
      if (taints.includes(letter) || state === "Loading" || !OF_MODULES.test(letter)) continue;
      context.report({
        ...FINAL,
        severity: "high",
        title: `Module ${name} taints the kernel with ${letter}, but the kernel says that it is not tainted so.`,
        subject: { module: name, taint: letter },
        evidence: { kernel: taints, module: own },
      });
    }
  }
  for (const letter of TAINT_LETTERS) checkTaint(context, letter, taints.includes(letter), carried);
}

/** Taints stay until the next boot. One that comes, and no module shows why, is told too. */
function checkTaint(
  context: CheckContext,
  letter: string,
  has: boolean,
  carried: ReadonlySet<string>,
): void {
  const { kernel } = context;
  const had = strongestSeen(kernel, `taint ${letter}`, has ? 1 : 0) === 1;
  const cameClean = strongestSeen(kernel, `no taint ${letter}`, has ? 0 : 1) === 1;
  // A module that was seen to bring it may be gone by now: a livepatch that was replaced.
  const brought = strongestSeen(kernel, `module ${letter}`, carried.has(letter) ? 1 : 0) === 1;
  if (had && !has) {
    context.report({
      ...FINAL,
      title: `The kernel's taint ${letter} was taken away.`,
      subject: { taint: letter, gone: true },
      evidence: { before: 1, seen: 0 },
    });
  } else if (has && cameClean && OF_MODULES.test(letter) && !brought) {
    context.report({
      severity: "low",
      confidence: "medium",
      title: `The kernel was tainted with ${letter} while watched, and no module that was seen brings that.`,
      subject: { taint: letter, unexplained: true },
      evidence: { before: 0, seen: 1 },
    });
  }
}

/** What the command line turns on for good has to be on. */
function checkCommandLine(context: CheckContext): void {
  const { kernel } = context;
  const settings = new Map(securitySettings(kernel).map(({ name, value }) => [name, value]));
  const levels = lockdownLevels(kernel);
  for (const word of bootWords(kernel)) {
    const level = levels.get(/^lockdown=(\w+)$/.exec(word)?.[1] ?? "");
    const signatures = /^module\.sig_enforce(=[1yY])?$/.test(word);
    const name = signatures ? "sig_enforce" : "lockdown";
    const wanted = signatures ? 1 : level;
    const seen = settings.get(name);
    if (wanted === undefined || seen === undefined || !(seen < wanted)) continue;
    context.report({
      ...FINAL,
      title: `The kernel was booted with ${word}, but ${name} is ${seen}.`,
      subject: { setting: name, booted: word },
      evidence: { expected: wanted, seen },
    });
  }
}

function checkStrength(context: CheckContext, name: string, value: number): void {
  if (value !== value) return context.unseen(`${name} cannot be read`);
  // Of unprivileged BPF, 1 is final, and 2 may be changed (kernel/bpf/syscall.c).
  const isFinal = name === "sysctl_unprivileged_bpf_disabled" && value === 1;
  const strength = isFinal ? FINAL_BPF : value;
  const before = strongestSeen(context.kernel, name, strength);
  if (strength >= before) return;
  context.report({
    ...(WEAKENINGS[name] ?? (() => OPEN))(before),
    title: `${name} went from ${before} to ${value} while watched.`,
    subject: { setting: name, weaker: true },
    evidence: { before, seen: value },
  });
}
