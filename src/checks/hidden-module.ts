import { moduleViews } from "../linux/module-views.ts";
import type { ModuleView } from "../linux/module-views.ts";
import { foundIn, inAnyView, missingFrom } from "../linux/object-views.ts";
import { Modules } from "../linux/module.ts";
import type { Check } from "./check.ts";

/** Every module is in every view that the kernel keeps of its modules. */
export const hiddenModule: Check = {
  id: "hidden-module",
  proves: "The module list, /sys/module and the tree of module addresses hold the same modules.",
  reads: "modules, module_kset, mod_tree",
  attack: ["T1014", "T1547.006"],
  shares: ["module list"],
  limits:
    "A module that is taken out of all of them shows in kernel-pages, as executable memory that belongs to nobody.",
  run(context) {
    const { kernel } = context;
    if (context.without("modules")) return;
    const modules = new Modules(kernel);
    const state = kernel.reader("module", "state");
    const views = moduleViews(kernel, (reason) => context.unseen(reason));
    const all = inAnyView(views);
    for (const module of all) {
      const missing = missingFrom(views, module);
      if (missing.length === 0 || isPassing(state(module), missing)) continue;
      const name = modules.name(module) ?? "?";
      context.report({
        severity: "critical",
        confidence: "high",
        title: `Module ${name} is hidden: it is not in the ${missing.join(" and the ")}.`,
        subject: { module: kernel.format(module) },
        evidence: {
          name,
          missingFrom: missing,
          foundIn: foundIn(views, module),
        },
      });
    }
    context.cover(all.size);
  },
};

/** MODULE_STATE_LIVE (include/linux/module.h). */
const LIVE = 0;

/**
 * A module that comes or goes is put into sysfs late and taken out early, so there it may be missing
 * for a while. The list and the tree it joins and leaves at once, so its state excuses nothing there.
 */
function isPassing(state: number, missing: readonly ModuleView[]): boolean {
  if (state !== state) return true;
  return state !== LIVE && missing.every((view) => view === "sysfs");
}
