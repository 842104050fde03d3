import type { GuestVirtual } from "../../base/address.ts";
import { ftraceUsers } from "../ftrace.ts";
import type { Kernel } from "../kernel.ts";
import type { CodeFile } from "./code-file.ts";
import { isPadding } from "./nops.ts";
import type { PatchSite } from "./site-table.ts";

/** What is known of the code around a change. */
export type CodeKnowledge = {
  readonly kernel: Kernel;
  readonly file: CodeFile;
  readonly sites: Iterable<PatchSite>;
  /** The site that covers an address. */
  siteAt(
    address: GuestVirtual,
  ):
    | { readonly site: PatchSite; readonly start: GuestVirtual; readonly end: GuestVirtual }
    | undefined;
  /** Whether an alternative covers it. */
  isAlternative(address: GuestVirtual): boolean;
  /** The end of what the kernel itself wrote over an address, or the address itself. */
  explainedTo(address: GuestVirtual): GuestVirtual;
};

/** A stretch of code as it has to be, or why nobody can tell. */
export type RightCode = { readonly bytes: Uint8Array } | { readonly reason: string };

/** Sites that are looked at to learn what the kernel writes at its like. */
const SAMPLE = 512;

/**
 * What has to stand at [start, end) of one page: the file's bytes, what the kernel has patched there
 * itself (which stands), and at places that it patches alike everywhere what the others of their
 * kind hold. A place whose right form depends on the moment is not guessed.
 */
export function rightCode(know: CodeKnowledge, start: GuestVirtual, end: GuestVirtual): RightCode {
  const { kernel, file } = know;
  const seen = kernel.space.bytes(start, end - start);
  const original = file.bytes(start, end - start);
  if (seen === undefined || original === undefined) return { reason: "its file does not cover it" };
  const right = Uint8Array.from(original);
  for (let at = start; at < end;) {
    const explained = Math.min(know.explainedTo(at), end);
    if (explained > at) {
      right.set(seen.subarray(at - start, explained - start), at - start);
      at = explained;
      continue;
    }
    const problem = know.isAlternative(at) ? "alternative" : undefined;
    const covering = know.siteAt(at);
    if (problem === undefined && covering === undefined) {
      at++;
      continue;
    }
    const form = covering && problem === undefined ? formOf(know, covering) : undefined;
    if (form === undefined) {
      const kind = problem ?? covering?.site.kind;
      return {
        reason: `the kernel itself patches ${kernel.format(at)} (${kind}), by what is known only to it`,
      };
    }
    if (covering === undefined || covering.start < start || covering.end > end) {
      return {
        reason: `the change covers half of what the kernel patches at ${kernel.format(at)}`,
      };
    }
    right.set(form, covering.start - start);
    at = covering.end;
  }
  return { bytes: right };
}

type Covering = NonNullable<ReturnType<CodeKnowledge["siteAt"]>>;

/** The right bytes of a whole site; undefined where they depend on the moment. */
function formOf(know: CodeKnowledge, { site, start, end }: Covering): Uint8Array | undefined {
  const original = know.file.bytes(start, end - start);
  switch (site.kind) {
    case "mcount":
      return isTraced(know.kernel) ? undefined : commonForm(know, site);
    case "return":
      return commonForm(know, site) ?? original;
    // As compiled they are right on every machine; boot only made them quicker.
    case "lock":
    case "endbr":
    case "retpoline":
    case "paravirt":
      return original;
    default:
      return undefined;
  }
}

/** While somebody traces functions, any of them may rightly call the tracer. */
function isTraced(kernel: Kernel): boolean {
  let sure = true;
  const users = [...ftraceUsers(kernel, () => (sure = false))];
  return users.length > 0 || !sure;
}

/** What does nothing, or returns, at most sites of the kind; undefined where they differ from place to place. */
function commonForm({ kernel, sites }: CodeKnowledge, like: PatchSite): Uint8Array | undefined {
  const votes = new Map<string, number>();
  let looked = 0;
  for (const { kind, length, address } of sites) {
    if (kind !== like.kind || length !== like.length || address === like.address) continue;
    const bytes = kernel.space.bytes(address, length);
    if (bytes === undefined) continue;
    const placeless = kind === "mcount" ? isPadding(bytes, 0, length) : bytes[0] === 0xc3;
    const form = placeless ? Buffer.from(bytes).toString("hex") : "";
    votes.set(form, (votes.get(form) ?? 0) + 1);
    if (++looked === SAMPLE) break;
  }
  const [best] = [...votes].toSorted(([, a], [, b]) => b - a);
  if (best === undefined || best[0] === "" || best[1] * 2 <= looked) return undefined;
  return Buffer.from(best[0], "hex");
}
