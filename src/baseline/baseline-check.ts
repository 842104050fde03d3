import type { Check, CheckContext } from "../checks/check.ts";
import type { Confidence, Severity } from "../checks/finding.ts";
import type { DiskTree } from "../files/disk-tree.ts";
import { startupTechnique } from "../files/startup-files.ts";
import { diff, gapsOf } from "./diff.ts";
import type { Difference } from "./diff.ts";
import { observe } from "./observe.ts";
import type { Item, ItemKind } from "./observe.ts";

type Weight = readonly [Severity, Confidence];
type Weights = Readonly<Record<Difference["change"], Weight>>;

const INFO: Weight = ["info", "low"];

/** How bad a difference is if it is true, and how sure it is that it matters. */
const weights: Readonly<Record<ItemKind, Weights>> = {
  kernel: { new: INFO, changed: ["medium", "low"], gone: INFO },
  // The kernel patches its own text; kernel-text tells what is legal.
  text: { new: INFO, changed: INFO, gone: INFO },
  module: { new: ["medium", "medium"], changed: ["high", "medium"], gone: INFO },
  listener: { new: ["medium", "medium"], changed: ["high", "medium"], gone: ["low", "low"] },
  program: { new: ["low", "low"], changed: INFO, gone: INFO },
  helper: { new: ["high", "high"], changed: ["high", "high"], gone: ["medium", "medium"] },
  unit: { new: ["low", "medium"], changed: INFO, gone: ["low", "low"] },
  startup: { new: ["medium", "medium"], changed: ["medium", "medium"], gone: ["low", "low"] },
  log: { new: INFO, changed: ["medium", "medium"], gone: ["medium", "low"] },
};

const techniques: Readonly<Record<ItemKind, readonly string[]>> = {
  kernel: [],
  text: ["T1014"],
  module: ["T1547.006"],
  listener: ["T1205"],
  program: ["T1059"],
  helper: ["T1546"],
  unit: ["T1543.002"],
  startup: ["T1543"],
  log: ["T1070.002"],
};

/** A check that tells what differs from a baseline. It sharpens the others and takes nothing from them. */
export function baselineCheck(known: readonly Item[], disks?: () => DiskTree | undefined): Check {
  return {
    id: "baseline",
    proves: "What is known good of this guest is as it was, and nothing was added.",
    reads:
      "modules, listeners, programs, helper strings, units, kernel text; on its disks what runs at boot and login, and logs",
    attack: ["T1014"],
    limits:
      "It knows no more than the moment when it was made; programs that come and go are new each time until they are accepted.",
    run(context) {
      const seen = observe(context.kernel, disks?.());
      for (const [kind, reason] of gapsOf(known, seen)) context.unseen(`${kind}: ${reason}`);
      context.cover(seen.items.length);
      for (const difference of diff(known, seen)) report(context, difference);
    },
  };
}

function report(context: CheckContext, { kind, key, change, before, after }: Difference): void {
  const [severity, confidence] = weights[kind][change];
  context.report({
    severity,
    confidence,
    title: `${words[change]} since the baseline: ${kind} ${key}.`,
    attack: kind === "startup" ? [startupTechnique(key)] : techniques[kind],
    subject: { kind, key, change },
    evidence: { before: before ?? null, after: after ?? null },
  });
}

const words = { new: "New", changed: "Changed", gone: "Gone" } as const;
