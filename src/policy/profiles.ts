import type { Policy, Rule } from "./schema.ts";

/** Tells everything, does nothing. */
const observe: readonly Rule[] = [{ name: "observe", when: {}, do: ["alert"] }];

const TEN_MINUTES = 600_000;

/** Freezes and captures on what is as good as sure: two sweeps of one check, or two checks of one guest. */
const strict: readonly Rule[] = [
  {
    name: "strict-confirmed",
    when: {
      severity: "critical",
      confidence: "high",
      repeated: { times: 2, within: TEN_MINUTES },
    },
    do: ["alert", "freeze", "capture"],
  },
  {
    name: "strict-agreement",
    when: { severity: "high", confidence: "medium", agreement: 2 },
    do: ["alert", "freeze", "capture"],
  },
];

/** The rules of a policy: its own, then those of its profile. */
export function rulesOf({ profile, rules }: Policy): Rule[] {
  return [...rules, ...(profile === "strict" ? strict : []), ...observe];
}
