import type { AllowEntry } from "../checks/allow-list.ts";
import { KvmsecError } from "../base/errors.ts";
import { matches } from "../policy/decide.ts";
import type { Guest } from "../vm/guest.ts";
import { loadConfig } from "./load-config.ts";

/** The entries of an allow-list that name a guest by one of its names. */
export function allowFor(
  entries: readonly AllowEntry[],
  ...names: readonly (string | undefined)[]
): AllowEntry[] {
  return entries.filter(({ guests }) =>
    names.some((name) => name !== undefined && matches(guests, name)),
  );
}

/** What the configuration at hand allows for a guest that was attached to. Throws as `readConfig` does. */
export function allowedOn({ target }: Guest, config?: string): AllowEntry[] {
  const own = target.kind === "qemu" ? target.qemu.arguments.name : undefined;
  return allowFor(loadConfig(config).allow, target.text, own);
}

/** The same; where the configuration cannot be read nothing is allowed. */
export function allowedIfKnown(guest: Guest): AllowEntry[] {
  try {
    return allowedOn(guest);
  } catch (error) {
    if (error instanceof KvmsecError) return [];
    throw error;
  }
}
