import type { GuestVirtual } from "../base/address.ts";
import { hexBytes } from "../base/hex.ts";
import { ftraceUsers } from "../linux/ftrace.ts";
import type { LegalTargets } from "../linux/kernel-text/legal-forms.ts";
import type { TextChange, TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { kprobeSites } from "./kprobe-sites.ts";

/** Bytes of a change that are shown; its length is given too. */
const SHOWN = 32;
const INT3 = 0xcc;

/** Each byte of kernel text is the booted file's, or a patch that the kernel itself makes. */
export const kernelText: Check = {
  id: "kernel-text",
  proves:
    "Each byte of kernel text is that of the kernel file after relocation, or one of the forms that the kernel's own patching leaves at that very place.",
  reads: "the kernel's .text, and its file by build id",
  attack: ["T1014"],
  shares: ["kernel text"],
  limits:
    "Needs the kernel file. A patch that stands for a while and is taken back between two looks is not seen.",
  run(context) {
    const text = requireText(context);
    const section = text.section(".text");
    if (section === undefined) return context.skip("the kernel file has no .text section");
    const targets = legalTargets(context);
    let unread = 0;
    const changes = text.changes(section, targets, () => unread++);
    const pages = Math.ceil(section.size / 4096);
    if (unread > 0) context.unseen(`${unread} of ${pages} pages of text are not in memory`);
    context.cover(pages - unread, pages);
    const probes = context.facts.get(kprobeSites);
    for (const change of changes) {
      if (!isKprobe(change, probes)) reportChange(context, change);
    }
  },
};

/** The comparison with the kernel file; skips the check where there is no file. */
export function requireText(context: CheckContext): TextIntegrity {
  const { text, textMissing } = context.facts.host;
  return text ?? context.skip(textMissing ?? "no kernel file was given (--kernel-file)");
}

function legalTargets(context: CheckContext): LegalTargets {
  const { facts, kernel } = context;
  const owners = facts.get(codeOwners);
  const users = ftraceUsers(kernel, (reason) => context.unseen(reason));
  const handlers = new Set(Array.from(users, (user) => user.function));
  return {
    // Whose the handlers are is the check ftrace's to judge.
    isTracer(target) {
      const owner = owners.ownerOf(target);
      const own = owner?.kind === "kernel" && owner.offset === 0;
      return (
        handlers.has(target) ||
        (own && /^(arch_)?ftrace_|^function_|trace/.test(owner.symbol ?? ""))
      );
    },
    isFunction(target) {
      const owner = owners.ownerOf(target);
      return owner?.offset === 0 && owner.symbol !== undefined;
    },
    isTrampoline(target) {
      const owner = owners.ownerOf(target);
      if (owner === undefined) return false;
      if (owner.kind === "kernel") return /^ftrace_(regs_|call)?caller$/.test(owner.symbol ?? "");
      return owner.kind === "ftrace" || owner.kind === "bpf";
    },
  };
}

/** A breakpoint, or an optimised probe's jump, where a kprobe is registered: kprobes tells of those. */
function isKprobe({ address, seen }: TextChange, probes: ReadonlySet<GuestVirtual>): boolean {
  const starts = seen[0] === INT3 || seen[0] === 0xe9;
  return starts && seen.length <= 5 && probes.has(address);
}

function reportChange(context: CheckContext, change: TextChange): void {
  const { kernel, facts } = context;
  const place = facts.get(codeOwners).describe(change.address);
  context.report({
    severity: "critical",
    confidence: "high",
    title: `Kernel code was changed at ${place}.`,
    subject: { function: place },
    evidence: {
      address: kernel.format(change.address),
      length: change.seen.length,
      expected: hexBytes(change.expected.subarray(0, SHOWN)),
      seen: hexBytes(change.seen.subarray(0, SHOWN)),
      leadsTo: leadsTo(context, change),
    },
  });
}

/** Where a planted jump or call goes: to a module's function, say, or to memory of nobody. */
function leadsTo({ kernel, facts }: CheckContext, { address, seen }: TextChange): string | null {
  const view = new DataView(seen.buffer, seen.byteOffset, seen.byteLength);
  if ((seen[0] !== 0xe8 && seen[0] !== 0xe9) || seen.length < 5) return null;
  const target = address + 5 + view.getInt32(1, true);
  const owners = facts.get(codeOwners);
  const owned = owners.ownerOf(target) !== undefined;
  return `${owners.describe(target)} (${kernel.format(target)}${owned ? "" : ", nobody's"})`;
}
