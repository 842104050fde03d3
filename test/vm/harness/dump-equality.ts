import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { attach } from "../../../src/vm/guest.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";
import { dumpForms } from "./dump-forms.ts";
import type { DumpForm } from "./dump-forms.ts";
import { everyView } from "./every-view.ts";
import type { Said } from "./every-view.ts";
import type { Guest } from "./guest.ts";

/** Leaves the guest stopped: every view says the same of its memory and of its dumps. */
export async function dumpsSayTheSame(
  t: TestContext,
  guest: Guest,
  forms: readonly DumpForm[] = dumpForms,
): Promise<Said> {
  await guest.qmp("stop");
  using folder = new TemporaryFolder();
  using live = await attach(`pid:${guest.pid}`);
  const expected = everyView(live.kernel);
  for (const [index, { name, make, options }] of forms.entries()) {
    await t.test(`every view says the same of a dump: ${name}`, async () => {
      const path = join(folder.path, String(index));
      await make({ guest, memory: live.memory }, path);
      using copied = await attach(`file:${path}`, { dump: options?.(live.memory) ?? {} });
      assertSame(everyView(copied.kernel), expected);
      rmSync(path);
    });
  }
  return expected;
}

/** Names the views that differ with their first lines: all of both would be 100 MB. */
export function assertSame(actual: Said, expected: Said): void {
  assert.deepEqual(Object.keys(actual), Object.keys(expected));
  const differing = Object.entries(expected).flatMap(([view, lines]) => {
    const others = actual[view] ?? [];
    const at = lines.findIndex((line, index) => line !== others[index]);
    if (at < 0 && others.length === lines.length) return [];
    const line = at < 0 ? lines.length : at;
    return [
      { view, lines: [others.length, lines.length], actual: others[line], expected: lines[line] },
    ];
  });
  assert.deepEqual(differing, []);
}
