import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { View } from "../../../src/views/view.ts";

/** Kernel threads come and go in a quiet guest too: what two looks say may differ by that. */
const TRIES = 8;

/** All rows of a view as it is now; fails where a part could not be read. */
export function readAll<Row, Options>(
  view: View<Row, Options>,
  kernel: Kernel,
  options: Options,
): Row[] {
  kernel.refresh();
  return [...view.read(kernel, options, (reason) => assert.fail(reason))];
}

/** Looks from inside and from outside until both say the same; the last difference fails. */
export async function agree<T>(
  inside: () => Promise<T>,
  outside: () => T,
  message: string,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const actual = outside();
    const expected = await inside();
    try {
      assert.deepEqual(actual, expected, message);
      return;
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(50);
    }
  }
}
