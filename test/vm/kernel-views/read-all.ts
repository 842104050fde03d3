import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { View } from "../../../src/views/view.ts";

/** All rows of a view as it is now; fails where a part could not be read. */
export function readAll<Row>(view: View<Row>, kernel: Kernel): Row[] {
  kernel.refresh();
  return [...view.read(kernel, {}, (reason) => assert.fail(reason))];
}
