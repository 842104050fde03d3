import assert from "node:assert/strict";
import { test } from "node:test";
import { GuestHealth } from "../../../src/daemon/guest-health.ts";

const HANG_MS = 60_000;

type Beat = readonly [seconds: number, status: string | undefined, tick: number];

/** What is found at each pulse, and each change that is told. */
function judge(...beats: readonly Beat[]): string[] {
  const health = new GuestHealth(HANG_MS);
  return beats.flatMap(([seconds, status, tick]) => {
    const { changed, finding } = health.judge({ at: new Date(seconds * 1000), status, tick });
    return [
      ...(changed === undefined ? [] : [`is ${changed}`]),
      ...(finding === undefined ? [] : [String(finding.subject["state"])]),
    ];
  });
}

test("a guest that runs and whose clock moves is well", () => {
  assert.deepEqual(judge([0, "running", 1], [50, "running", 2], [100, "running", 3]), []);
});

test("a clock that stands still for long is a hang; when it moves again that is told", () => {
  assert.deepEqual(
    judge([0, "running", 1], [50, "running", 1], [61, "running", 1], [70, "running", 2]),
    ["is hung", "hung", "is running"],
  );
});

test("a guest that somebody stopped does not hang, nor right after it goes on", () => {
  assert.deepEqual(
    judge([0, "running", 1], [10, "paused", 1], [500, "paused", 1], [510, "running", 1]),
    ["is paused", "is running"],
  );
});

test("a tick that cannot be read, or a monitor that nobody may ask, proves no hang", () => {
  const unread = Number.NaN;
  assert.deepEqual(judge([0, "running", unread], [500, "running", unread]), []);
  assert.deepEqual(judge([0, undefined, 1], [500, undefined, 1]), []);
});

test("a panic is a finding as long as it lasts", () => {
  assert.deepEqual(judge([0, "running", 1], [1, "guest-panicked", 1], [2, "guest-panicked", 1]), [
    "is guest-panicked",
    "guest-panicked",
    "guest-panicked",
  ]);
});

test("a monitor is silent when it gave no answer three times", () => {
  assert.deepEqual(
    judge(
      [0, "running", 1],
      [1, "silent", 1],
      [2, "silent", 1],
      [3, "silent", 1],
      [4, "running", 2],
    ),
    ["is silent", "silent", "is running"],
  );
});
