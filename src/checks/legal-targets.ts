import type { GuestVirtual } from "../base/address.ts";
import type { CodeOwners } from "../linux/code-owner.ts";
import { ftraceUsers } from "../linux/ftrace.ts";
import type { LegalTargets } from "../linux/kernel-text/legal-forms.ts";
import { kprobes } from "../linux/kprobe.ts";
import { isHeld } from "../linux/mutex.ts";
import { isTrampoline } from "../linux/untraced-code.ts";
import { codeOwners } from "./code-owners.ts";
import { fact } from "./sweep-facts.ts";

/** Symbols of one address that are told. */
const MAX_NAMES = 8;

/** Where patched code may lead at this moment, and what of that could not be read. */
export const legalTargets = fact(
  (facts): { targets: LegalTargets; problems: readonly string[] } => {
    const owners = facts.get(codeOwners);
    const problems: string[] = [];
    const problem = (reason: string): number => problems.push(reason);
    const users = ftraceUsers(facts.kernel, problem);
    const handlers = new Set(Array.from(users, (user) => user.function));
    const targets: LegalTargets = {
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
      isTrampoline: (target) => isTrampoline(owners, target),
      isThunkPage: (target) => owners.ownerOf(target)?.kind === "its",
      namesAt: (target) => namesAt(owners, target),
      symbol: (name) => symbolOf(owners, name),
      generation: generationOf(owners, handlers),
      probes: {
        at: new Map(Array.from(kprobes(facts.kernel, problem), (probe) => [probe.address, probe])),
        isProbeCode: (target) => owners.ownerOf(target)?.kind === "kprobe",
      },
      isBeingPatched: () =>
        isHeld(facts.kernel, "text_mutex") || isHeld(facts.kernel, "static_call_mutex"),
    };
    return { targets, problems };
  },
);

function namesAt(owners: CodeOwners, target: GuestVirtual): string {
  const { image, symbols } = owners.kernel;
  if (!(target >= image.virtual && target < image.virtual + image.size)) {
    const owner = owners.ownerOf(target);
    return owner?.kind === "module" && owner.offset === 0 ? (owner.symbol ?? "") : "";
  }
  const { first, end } = symbols.range(target, target + 1);
  const names: string[] = [];
  for (let index = first; index < end && names.length < MAX_NAMES; index++) {
    names.push(symbols.name(index));
  }
  return names.join("\n");
}

function symbolOf(owners: CodeOwners, name: string): GuestVirtual {
  const own = owners.kernel.symbol(name);
  if (own === own) return own;
  for (const { symbols } of owners.modules) {
    const address = symbols?.address(name) ?? Number.NaN;
    if (address === address) return address;
  }
  return Number.NaN;
}

function generationOf(owners: CodeOwners, handlers: ReadonlySet<GuestVirtual>): string {
  const ranges = owners.generated.map(({ start, end }) => `${start}-${end}`);
  return [
    ...ranges,
    ...owners.modules.map(({ module, name }) => `${module} ${name}`),
    ...handlers,
  ].join();
}
