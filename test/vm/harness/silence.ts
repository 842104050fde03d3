import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Sweep } from "../../../src/checks/sweep.ts";
import type { Guest } from "./guest.ts";

/** Sweeps that a cause is looked at with at the least, however quickly it is over. */
const LEAST = 3;

/**
 * Runs commands in the guest and sweeps all the while. Nothing may be found, whenever it is looked;
 * that a moment lets something be seen only in part is no finding. Returns how often it was looked.
 */
export async function silentDuring(
  guest: Guest,
  look: () => Sweep | Promise<Sweep>,
  commands: string,
  timeout = 420_000,
): Promise<number> {
  const state = { running: true };
  const work = guest.run(commands, { timeout }).finally(() => {
    state.running = false;
  });
  // Told of below; a failure must not end the test from elsewhere meanwhile.
  work.catch(() => {});
  let looks = 0;
  while (state.running || looks < LEAST) {
    const { findings } = await look();
    looks++;
    assert.deepEqual(findings, [], `look ${looks} during: ${commands}`);
    await pause(1);
  }
  await work;
  return looks;
}
