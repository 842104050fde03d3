import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hex } from "../base/hex.ts";
import type { Kernel } from "../linux/kernel.ts";
import { infoDocument, kernelDocument } from "../views/info.ts";
import * as views from "../views/index.ts";
import { readView } from "../views/view.ts";
import type { View } from "../views/view.ts";

/**
 * Writes every view of a guest into `views/NAME.json`, in the form that the command line has, with
 * `target` as the guest's name. Returns what could not be read, by view.
 */
export function writeViews(
  kernel: Kernel,
  target: string,
  folder: string,
): Record<string, readonly string[]> {
  mkdirSync(join(folder, "views"), { mode: 0o700 });
  const incomplete: Record<string, readonly string[]> = {};
  const info = { schema: "kvmsec.info/1", target, ...infoDocument(kernel) };
  writeJson(join(folder, "views", "info.json"), info);
  for (const [name, view] of Object.entries(views)) {
    // Each view takes its own rows back; that they fit is the view's own type.
    const problems = writeView(kernel, target, folder, view as View<unknown>);
    if (problems.length > 0) incomplete[name] = problems;
  }
  return incomplete;
}

function writeView<Row>(
  kernel: Kernel,
  target: string,
  folder: string,
  view: View<Row>,
): readonly string[] {
  const { rows, problems } = readEvidence(kernel, view);
  const name = /^kvmsec\.(.*)\//.exec(view.schema)?.[1] ?? view.list;
  writeJson(join(folder, "views", `${name}.json`), {
    schema: view.schema,
    target,
    kernel: kernelDocument(kernel),
    [view.list]: rows,
    ...(problems.length === 0 ? {} : { incomplete: problems }),
  });
  return problems;
}

/** A kernel without the subsystem is a problem of the view: the rest of the package must not be lost for it. */
function readEvidence<Row>(
  kernel: Kernel,
  view: View<Row>,
): { rows: readonly object[]; problems: readonly string[] } {
  try {
    const { rows, problems } = readView(view, kernel, {});
    return { rows: rows.map((row) => view.json(row, kernel)), problems };
  } catch (error) {
    return { rows: [], problems: [error instanceof Error ? error.message : String(error)] };
  }
}

/** Writes a JSON document: bigint addresses as `"0xffff…"`, a fault as null. */
export function writeJson(path: string, document: object): void {
  const text = JSON.stringify(
    document,
    (_key, value: unknown) => (typeof value === "bigint" ? hex(value) : value),
    1,
  );
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
}
