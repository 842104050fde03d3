import assert from "node:assert/strict";
import { test } from "node:test";
import { KernelFileSearch } from "../../../src/files/kernel-file-search.ts";
import type { KernelFiles } from "../../../src/files/kernel-files.ts";

const MINUTE = 60_000;

function without(textMissing: string): KernelFiles {
  return { moduleFile: () => ({ missing: "nowhere" }), filesOnDisk: () => [], textMissing };
}

test("a kernel file that is not found is looked for again, less and less often", () => {
  const clock = { now: 0 };
  let searches = 0;
  const search = new KernelFileSearch(
    () => without(String(++searches)),
    () => clock.now,
  );
  const at: number[] = [];
  for (let seen = searches; clock.now < 600 * MINUTE; clock.now += MINUTE) {
    assert.deepEqual(search.files, search.files);
    if (searches !== seen) at.push(clock.now / MINUTE);
    seen = searches;
  }
  assert.deepEqual(at, [1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]);
});

test("what a later search finds is taken", () => {
  const clock = { now: 0 };
  let later = without("not mounted yet");
  const search = new KernelFileSearch(
    () => later,
    () => clock.now,
  );
  const before = search.files;
  later = without("mounted");
  assert.equal(search.files, before);
  clock.now = MINUTE;
  assert.equal(search.files, later);
});
