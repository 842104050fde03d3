import assert from "node:assert/strict";
import { test } from "node:test";
import { foundIn, inAnyView, missingFrom, objectView } from "../../../src/linux/object-views.ts";

const told: string[] = [];

/** A list that gives out after these objects, if told why. */
function view(members: readonly number[], fault?: string) {
  return objectView(
    function* (problem) {
      yield* members;
      if (fault !== undefined) problem(fault);
    },
    (reason) => told.push(reason),
  );
}

test("an object is missing only from views that were read to their end", () => {
  const views = new Map([
    ["list", view([-1, -2, -3])],
    ["table", view([-1, -3])],
    ["tree", view([-1], "the tree ends early")],
  ]);
  assert.deepEqual(told, ["the tree ends early"]);
  assert.deepEqual([...inAnyView(views)], [-1, -2, -3]);
  assert.deepEqual(missingFrom(views, -1), []);
  assert.deepEqual(missingFrom(views, -2), ["table"]);
  assert.deepEqual(missingFrom(views, -3), []);
  assert.deepEqual(foundIn(views, -2), ["list"]);
});
