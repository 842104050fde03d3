import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { View } from "../../../src/views/view.ts";

/** All rows of a view as it is now; fails where a part could not be read. */
export function readAll<Row, Options extends object>(
  view: View<Row, Options>,
  kernel: Kernel,
  options: Partial<Options> = {},
): Row[] {
  kernel.refresh();
  return [...view.read(kernel, options as Options, (reason) => assert.fail(reason))];
}
