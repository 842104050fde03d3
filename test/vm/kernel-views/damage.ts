import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { copyPieces } from "../../../src/linux/file-copy.ts";
import { PageCache } from "../../../src/linux/page-cache.ts";
import { pagecache } from "../../../src/views/pagecache.ts";
import type { View } from "../../../src/views/view.ts";
import { viewsSurviveDamage } from "../harness/damage.ts";
import type { Guest } from "../harness/guest.ts";

/** Copies every small cached file, as a view whose rows tell what came out. */
const contents: View<object> = {
  schema: "kvmsec.contents/1",
  list: "contents",
  *read(kernel, _options, problem) {
    const cache = new PageCache(kernel);
    const budget = kernel.budget();
    for (const file of pagecache.read(kernel, { path: "/t" }, problem)) {
      let last = 0;
      const copy = copyPieces(cache.pieces(file.address, budget, problem), (offset, bytes) => {
        assert.ok(offset >= last && bytes.length > 0);
        last = offset + bytes.length;
      });
      assert.ok(copy.copied <= kernel.memory.ranges[0].size);
      yield copy;
    }
  },
  json: (row) => row,
};

/** Files come out whole, with holes, or not at all, whatever is in the guest's memory. */
export async function copyingSurvivesDamage(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.qmp("stop");
  try {
    const { pages } = viewsSurviveDamage(kernel.memory, [contents], 100, 20_260_102);
    assert.ok(pages > 50, `${pages} pages`);
  } finally {
    await guest.qmp("cont");
  }
}
