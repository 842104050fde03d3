import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";

/** enum profile_mode (security/apparmor/include/policy.h), as /sys/kernel/security/apparmor/profiles says. */
const MODES = ["enforce", "complain", "kill", "unconfined", "prompt"] as const;
export type ApparmorMode = (typeof MODES)[number] | "unknown";

/** A profile that is loaded. */
export type ApparmorProfile = {
  /** As aa-status shows it: `/usr/bin/man`, `docker-default`, `man_groff`; children as `parent//child`. */
  readonly name: string;
  readonly mode: ApparmorMode;
};

export type ApparmorState = {
  readonly enabled: boolean;
  readonly initialized: boolean;
  /** What profiles are held to, whatever they say themselves. */
  readonly mode: ApparmorMode;
  readonly profiles: readonly ApparmorProfile[];
};

const MAX_NAME = 1024;
/** Children of children do not exist; namespaces may be nested. */
const MAX_DEPTH = 16;

/** What AppArmor does (security/apparmor/lsm.c); undefined where the kernel has none. */
export function apparmorState(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): ApparmorState | undefined {
  const enabled = kernel.space.u8(kernel.symbol("apparmor_enabled"));
  const initialized = kernel.space.i32(kernel.symbol("apparmor_initialized"));
  if (enabled !== enabled || initialized !== initialized) return undefined;
  const root = kernel.space.pointer(kernel.symbol("root_ns"));
  const walk = { budget, problem, seen: new Set<GuestVirtual>() };
  return {
    enabled: enabled !== 0,
    initialized: initialized !== 0,
    mode: modeName(kernel.space.u32(kernel.symbol("aa_g_profile_mode"))),
    profiles: root < 0 ? [...namespaceProfiles(kernel, root, walk)] : [],
  };
}

type Walk = {
  readonly budget: Budget;
  readonly problem: Problem;
  /** What the walk has come to: a circle would multiply with each level. */
  readonly seen: Set<GuestVirtual>;
};

/** Of a `struct aa_ns` and the namespaces in it. */
function* namespaceProfiles(
  kernel: Kernel,
  namespace: GuestVirtual,
  walk: Walk,
  depth = 0,
): Generator<ApparmorProfile> {
  const { budget, problem } = walk;
  if (depth > MAX_DEPTH) return problem("AppArmor's namespaces are nested too deeply");
  const policy = namespace + kernel.offset("aa_ns", "base");
  yield* policyProfiles(kernel, policy, walk, depth);
  const head = namespace + kernel.offset("aa_ns", "sub_ns");
  const link = kernel.offset("aa_ns", "base.list");
  for (const inner of listSnapshot(kernel, head, link, budget, problem)) {
    yield* namespaceProfiles(kernel, inner, walk, depth + 1);
  }
  return undefined;
}

/** Of a `struct aa_policy`, which namespaces and profiles begin with. */
function* policyProfiles(
  kernel: Kernel,
  policy: GuestVirtual,
  walk: Walk,
  depth: number,
): Generator<ApparmorProfile> {
  const { budget, problem, seen } = walk;
  if (depth > MAX_DEPTH) return problem("AppArmor's profiles are nested too deeply");
  if (seen.has(policy)) return problem("a profile of AppArmor's hangs in several places");
  seen.add(policy);
  const name = kernel.reader("aa_policy", "hname");
  const mode = kernel.reader("aa_profile", "mode");
  const head = policy + kernel.offset("aa_policy", "profiles");
  const link = kernel.offset("aa_policy", "list");
  for (const inner of listSnapshot(kernel, head, link, budget, problem)) {
    const text = kernel.space.string(name(inner), MAX_NAME);
    const profile = inner - kernel.offset("aa_profile", "base");
    if (text !== undefined) yield { name: text, mode: modeName(mode(profile)) };
    yield* policyProfiles(kernel, inner, walk, depth + 1);
  }
  return undefined;
}

function modeName(mode: number): ApparmorMode {
  return MODES[mode] ?? "unknown";
}
