import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { Turns } from "../../../src/daemon/turns.ts";

test("never more than the places at once, each gets its turn, in order, also behind one that fails", async () => {
  const works = fc.array(fc.record({ steps: fc.nat(4), fails: fc.boolean() }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), works, async (places, given) => {
      const turns = new Turns(places);
      const begun: number[] = [];
      let now = 0;
      const results = given.map(({ steps, fails }, index) =>
        turns.take(async () => {
          begun.push(index);
          assert.ok(++now <= places);
          for (let step = 0; step < steps; step++) await setImmediate();
          now--;
          if (fails) throw new Error("failed");
          return index;
        }),
      );
      const settled = await Promise.allSettled(results);
      assert.deepEqual(
        settled.map(({ status }) => status),
        given.map(({ fails }) => (fails ? "rejected" : "fulfilled")),
      );
      assert.deepEqual(begun, [...given.keys()]);
    }),
  );
});
