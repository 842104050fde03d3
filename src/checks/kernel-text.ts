import { ModuleCode } from "../linux/kernel-text/module-code.ts";
import { realModeCode } from "../linux/kernel-text/real-mode.ts";
import type { RealModeCode } from "../linux/kernel-text/real-mode.ts";
import { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { Check, CheckContext } from "./check.ts";
import { reportCode } from "./code-report.ts";
import { legalTargets } from "./legal-targets.ts";

/** Each byte of kernel text is the booted file's, or a patch that the kernel itself makes. */
export const kernelText: Check = {
  id: "kernel-text",
  proves:
    "Each byte of kernel text is that of the kernel file after relocation, or one of the forms that the kernel's own patching leaves at that very place.",
  reads: "the kernel's .text and real-mode code, and its file by build id",
  attack: ["T1014"],
  shares: ["kernel text"],
  limits:
    "Needs the kernel file. A patch that stands for a while and is taken back between two looks is not seen.",
  run(context) {
    const text = requireText(context);
    const section = text.section(".text");
    if (section === undefined) return context.skip("the kernel file has no .text section");
    const { targets, problems } = context.facts.get(legalTargets);
    for (const problem of problems) context.unseen(problem);
    let unread = 0;
    const changes = text.changes(section, targets, () => unread++);
    context.kernel.forgetText();
    const pages = Math.ceil(section.size / 4096);
    if (unread > 0) context.unseen(`${unread} of ${pages} pages of text are not in memory`);
    context.cover(pages - unread, pages);
    for (const change of changes) reportCode(context, change, "Kernel code");
    checkRealMode(context, text);
  },
};

/** What boot moved there stays as it is: no patch is legal in it. */
const realMode = new WeakMap<TextIntegrity, { code: RealModeCode; compared: TextIntegrity }>();

/** Code that wakes processors lies executable in the first MiB, where nothing else owns it. */
function checkRealMode(context: CheckContext, text: TextIntegrity): void {
  const { kernel } = context;
  const code = realMode.get(text)?.code ?? realModeCode(kernel, text.file);
  // A kernel without room below 1 MiB has none.
  if (code === undefined) return;
  const section = { name: "real_mode_blob", start: code.start, end: code.start + code.size };
  const compared =
    realMode.get(text)?.compared ??
    new TextIntegrity(
      kernel,
      new ModuleCode([{ ...section, bytes: code.expected, executable: true }], []),
    );
  realMode.set(text, { code, compared });
  const { changes, unread } = compared.dataChanges(code);
  const pages = Math.ceil(code.size / 4096);
  context.cover(pages - Math.ceil(unread / 4096), pages);
  if (unread > 0)
    context.unseen(`${unread} bytes of the code that wakes processors are not in memory`);
  for (const change of changes) reportCode(context, change, "Code that wakes processors");
}

/** The comparison with the kernel file; skips the check where there is no file. */
export function requireText(context: CheckContext): TextIntegrity {
  const { text, textMissing } = context.facts.host;
  return text ?? context.skip(textMissing ?? "no kernel file was given (--kernel-file)");
}
