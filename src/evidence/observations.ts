import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hex } from "../base/hex.ts";
import type { Kernel } from "../linux/kernel.ts";
import { readInfo } from "../views/info.ts";
import * as views from "../views/index.ts";
import type { View } from "../views/view.ts";

/** Writes every view of a guest into `views/NAME.json`. Returns what could not be read, by view. */
export function writeViews(kernel: Kernel, folder: string): Record<string, readonly string[]> {
  mkdirSync(join(folder, "views"), { mode: 0o700 });
  const incomplete: Record<string, readonly string[]> = {};
  writeJson(join(folder, "views", "info.json"), { schema: "kvmsec.info/1", ...readInfo(kernel) });
  for (const [name, view] of Object.entries(views)) {
    // Each view takes its own rows back; that they fit is the view's own type.
    const problems = writeView(kernel, folder, view as View<unknown>);
    if (problems.length > 0) incomplete[name] = problems;
  }
  return incomplete;
}

function writeView<Row>(kernel: Kernel, folder: string, view: View<Row>): string[] {
  const problems: string[] = [];
  const rows: object[] = [];
  try {
    for (const row of view.read(kernel, {}, (reason) => problems.push(reason))) {
      rows.push(view.json(row, kernel));
    }
  } catch (error) {
    // A kernel without the subsystem: the rest of the package must not be lost for it.
    problems.push(error instanceof Error ? error.message : String(error));
  }
  const name = /^kvmsec\.(.*)\//.exec(view.schema)?.[1] ?? view.list;
  const { release, buildId, banner } = kernel.identity;
  writeJson(join(folder, "views", `${name}.json`), {
    schema: view.schema,
    kernel: { release, buildId: buildId ?? null, banner },
    [view.list]: rows,
    ...(problems.length === 0 ? {} : { incomplete: problems }),
  });
  return problems;
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
