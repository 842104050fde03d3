import assert from "node:assert/strict";
import { test } from "node:test";
import { builtWithout } from "../../../src/linux/features.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { readView } from "../../../src/views/view.ts";
import type { View } from "../../../src/views/view.ts";

function kernelWith(symbols: readonly string[], types: readonly string[]): Kernel {
  return {
    symbol: (name: string) => (symbols.includes(name) ? -0x1000 : Number.NaN),
    types: { struct: (name: string) => (types.includes(name) ? 1 : 0) },
  } as unknown as Kernel;
}

test("a feature is missing only where all of its names are", () => {
  const none = kernelWith(["init_task"], ["task_struct"]);
  assert.equal(
    builtWithout(none, "livepatch"),
    "this kernel was built without livepatches (CONFIG_LIVEPATCH)",
  );
  // As if a newer kernel had renamed what is looked at.
  for (const symbol of ["klp_enable_patch", "klp_update_patch_state"]) {
    assert.equal(builtWithout(kernelWith([symbol], []), "livepatch"), undefined);
  }
  assert.equal(builtWithout(kernelWith([], ["klp_patch"]), "livepatch"), undefined);
});

test("a view of what the kernel was built without has no rows, and says so", () => {
  const view: View<number> = {
    schema: "kvmsec.cgroups/1",
    list: "cgroups",
    of: "cgroups",
    read: () => [1, 2],
    json: (row) => ({ row }),
  };
  assert.deepEqual(readView(view, kernelWith([], ["task_struct"]), {}), {
    rows: [],
    problems: [],
    nothing: "this kernel was built without control groups (CONFIG_CGROUPS)",
  });
  const { rows, nothing } = readView(view, kernelWith([], ["css_set"]), {});
  assert.deepEqual([rows, nothing], [[1, 2], undefined]);
});
