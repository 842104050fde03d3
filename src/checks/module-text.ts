import { hexBytes } from "../base/hex.ts";
import type { TextChange } from "../linux/kernel-text/text-integrity.ts";
import { ModuleTexts } from "../linux/kernel-text/module-texts.ts";
import type { ModuleText } from "../linux/kernel-text/module-text.ts";
import type { ModuleTextSource } from "../linux/kernel-text/module-texts.ts";
import type { FindModuleFile } from "../linux/module-file.ts";
import { Modules } from "../linux/module.ts";
import type { Module } from "../linux/module.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { reportCode } from "./code-report.ts";
import { tellOwnerProblems } from "./function-target.ts";
import { legalTargets } from "./legal-targets.ts";
import { fact } from "./sweep-facts.ts";

const SHOWN = 32;
const MAX_REPORTS = 32;

/** Each byte of a module's code and constant data is its own file's, or a patch of the kernel. */
export const moduleText: Check = {
  id: "module-text",
  proves:
    "Each byte of a loaded module's code and constant data is that of its file after loading, or one of the forms that the kernel's own patching leaves at that very place; and nothing stands between its sections.",
  reads: "text and rodata of each live module, and its .ko file by build id",
  attack: ["T1014", "T1547.006"],
  shares: ["module text"],
  limits:
    "Needs each module's file; what has none is looked at by text-forms. It says that the code is the file's, not that the file is the distribution's. Data and what is read-only only after initialisation are left to other checks.",
  run(context) {
    if (context.without("modules")) return;
    tellOwnerProblems(context);
    const sources = context.facts.get(moduleSources);
    const missing: string[] = [];
    for (const [module, source] of sources) {
      if ("missing" in source) missing.push(`${module.name} (${source.missing})`);
      else checkModule(context, module, source.text);
    }
    context.cover(0, missing.length);
    if (sources.size === 0) context.cover(0);
    else if (missing.length === sources.size) context.skip(`no module has a file: ${missing[0]}`);
    if (missing.length > 0) {
      const more = missing.length > 1 ? `, and ${missing.length - 1} more` : "";
      context.unseen(`without a file: ${missing[0]}${more}`);
    }
  },
};

const known = new WeakMap<FindModuleFile, ModuleTexts>();

/** Each live module with the comparison with its file, or why there is none. */
export const moduleSources = fact((facts): ReadonlyMap<Module, ModuleTextSource> => {
  const { kernel, host } = facts;
  const live = [...new Modules(kernel).all(kernel.budget())].filter(
    ({ state }) => state === "Live",
  );
  const find = host.moduleFile;
  if (find === undefined) {
    const missing = "nowhere was looked for files of modules";
    return new Map(live.map((module) => [module, { missing }]));
  }
  const texts = known.get(find) ?? new ModuleTexts(kernel, find);
  known.set(find, texts);
  const sources = texts.of(live, facts.get(codeOwners));
  return new Map(live.map((module, index) => [module, sources[index]]));
});

function checkModule(context: CheckContext, { name }: Module, text: ModuleText): void {
  const { targets, problems } = context.facts.get(legalTargets);
  for (const problem of problems) context.unseen(problem);
  const look = text.look(targets);
  context.cover(look.pages - look.unread, look.pages);
  if (look.unread > 0) context.unseen(`${look.unread} pages of ${name} are not in memory`);
  for (const change of look.text.slice(0, MAX_REPORTS)) {
    reportCode(context, change, `Code of the module ${name}`);
  }
  for (const change of look.rodata.slice(0, MAX_REPORTS)) reportData(context, name, change);
  if (Math.max(look.text.length, look.rodata.length) > MAX_REPORTS) {
    context.unseen(`more places of ${name} differ; ${MAX_REPORTS} of a kind are listed`);
  }
}

function reportData(context: CheckContext, name: string, change: TextChange): void {
  const place = context.facts.get(codeOwners).describe(change.address);
  context.report({
    severity: "critical",
    confidence: "high",
    title: `Constant data of the module ${name} were changed at ${place}.`,
    subject: { module: name, place },
    evidence: {
      address: context.kernel.format(change.address),
      length: change.seen.length,
      expected: hexBytes(change.expected.subarray(0, SHOWN)),
      seen: hexBytes(change.seen.subarray(0, SHOWN)),
    },
  });
}
