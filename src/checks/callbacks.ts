import type { GuestVirtual } from "../base/address.ts";
import type { Callback } from "../linux/callback.ts";
import type { CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, leadsWell } from "./function-target.ts";
import type { Allowed } from "./function-target.ts";
import type { Severity } from "./finding.ts";

/** Whose functions may be called, and how bad a module's is that may not. */
export type CallbackRule = { readonly allowed: Allowed; readonly module?: Severity };

/** Any module that is on the list: these places are there for modules. */
export const LISTED: CallbackRule = { allowed: "listed" };

/**
 * Looks where each callback leads; returns how many there were. A finding is known by what holds
 * the callback and where it leads, not by an address: timers and works come and go.
 */
export function checkCallbacks(
  context: CheckContext,
  callbacks: Iterable<Callback>,
  rule: CallbackRule,
): number {
  const owners = context.facts.get(codeOwners);
  // Many lead to few functions, and whose one is takes a search.
  const fine = new Set<GuestVirtual>();
  let looked = 0;
  for (const { what, function: target, holder } of callbacks) {
    looked++;
    if (fine.has(target)) continue;
    if (leadsWell(context, target, rule)) {
      fine.add(target);
      continue;
    }
    checkFunction(context, {
      what: `${/^[aeiou]/i.test(what) ? "An" : "A"} ${what}`,
      subject: { holder: what, target: owners.describe(target) },
      target,
      slot: holder,
      ...rule,
    });
  }
  return looked;
}
