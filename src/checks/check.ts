import type { Feature } from "../linux/features.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Finding, Report } from "./finding.ts";
import type { SweepFacts } from "./sweep-facts.ts";

/** What several checks judge, each in its own way. */
export type SharedEvidence =
  | "kernel text"
  | "kernel rodata"
  | "kernel data"
  | "module list"
  | "module text"
  | "task views"
  | "credentials";

/** A read-only look at one thing that an intruder changes: one file of this folder. */
export type Check = {
  /** Kebab-case; names the page docs/findings/ID.md. */
  readonly id: string;
  /** What a pass proves, as one sentence. */
  readonly proves: string;
  /** What it reads of the guest. */
  readonly reads: string;
  readonly attack: readonly string[];
  /**
   * What it judges that other checks judge too, such as `kernel text`: one edit of that makes all of
   * them speak, so their agreement says no more than one of them. Left out where nobody else does.
   */
  readonly shares?: readonly SharedEvidence[];
  /** What it cannot see. */
  readonly limits: string;
  /** Run seldom in a schedule, or when the pages it reads have changed. */
  readonly costly?: boolean;
  /**
   * Whether the kernel may be in the middle of what this check would see half done. While it is, a
   * finding is looked at again and again, within a limit.
   */
  readonly isUnsettled?: (kernel: Kernel) => boolean;
  /**
   * Tells of findings what the kernel is in the middle of, at this very moment, that looks as they
   * do. It counts where no later look can tell, since the guest stands still or its memory is a dump:
   * then that is said, and nothing is found.
   */
  readonly halfDone?: (kernel: Kernel) => (finding: Finding) => string | undefined;
  /**
   * Looks. Reports through `context`, throws nothing for what a guest's memory holds; a missing
   * symbol or type (KVMSEC_SYMBOL_MISSING, KVMSEC_TYPE_MISSING) may be thrown and skips the check.
   */
  run(context: CheckContext): void;
};

/** What a check may use, and how it speaks. */
export type CheckContext = {
  readonly kernel: Kernel;
  /** What several checks need, read once a sweep. */
  readonly facts: SweepFacts;
  /** Something is wrong. Believed only if a second and a third look say the same. */
  report(report: Report): void;
  /** Adds to the check's coverage: how many things were looked at, of how many there are. */
  cover(looked: number, of?: number): void;
  /** Part of it could not be looked at; the check is then not a pass. */
  unseen(reason: string): void;
  /**
   * Whether the kernel was built without that, so that there is nothing to look at, which the
   * coverage then says.
   */
  without(feature: Feature): boolean;
  /** All of it could not be looked at. Ends the check. */
  skip(reason: string): never;
};

export type CheckStatus = "pass" | "fail" | "skipped" | "error";

/** Thrown by `skip`. */
export class Skipped extends Error {
  override readonly name = "Skipped";
}
