import { Reasons } from "../base/reasons.ts";
import { builtWithout } from "../linux/features.ts";
import type { Feature } from "../linux/features.ts";
import type { Kernel } from "../linux/kernel.ts";

/** The name and version of a JSON form: `kvmsec.ps/1`. */
export type Schema = `kvmsec.${string}/${number}`;

/** Told why a part of a view could not be read; the view is then incomplete, never silently short. */
export type Problem = (reason: string) => void;

/**
 * One way of looking into a guest: a list of rows, and the JSON form that others script against.
 * The command line, the library and evidence packages all show the same views.
 */
export type View<Row, Options = object> = {
  readonly schema: Schema;
  /** Name of the list in the JSON document. */
  readonly list: string;
  /** What it shows; a kernel that was built without it has no rows, and that is said. */
  readonly of?: Feature;
  /** Reads row by row; ends early, with a problem told, where the guest's memory gives out. */
  read(kernel: Kernel, options: Options, problem: Problem): Iterable<Row>;
  /** One row as JSON: addresses as `"0xffff…"`, sizes in bytes, times in ISO 8601, null for what is unknown. */
  json(row: Row, kernel: Kernel): object;
};

/** A forged guest may have more to tell than this machine has memory. */
const MOST_ROWS = 500_000;

/** What a view read from a guest at one moment. */
export type Reading<Row> = {
  readonly rows: readonly Row[];
  /** Why some of it could not be read. */
  readonly problems: readonly string[];
  /** Why there is nothing to read: the kernel was built without it. */
  readonly nothing?: string;
};

/** Why a view has nothing to show: its kernel was built without it. */
export function nothingOf({ of }: { readonly of?: Feature }, kernel: Kernel): string | undefined {
  return of === undefined ? undefined : builtWithout(kernel, of);
}

/** Reads a whole view, within bounds. */
export function readView<Row, Options>(
  view: View<Row, Options>,
  kernel: Kernel,
  options: Options,
): Reading<Row> {
  const nothing = nothingOf(view, kernel);
  if (nothing !== undefined) return { rows: [], problems: [], nothing };
  const problems = new Reasons();
  const rows: Row[] = [];
  for (const row of view.read(kernel, options, (reason) => problems.add(reason))) {
    rows.push(row);
    if (rows.length < MOST_ROWS) continue;
    return { rows, problems: [...problems.all, `there are more than ${MOST_ROWS} ${view.list}`] };
  }
  return { rows, problems: problems.all };
}
