import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { KvmsecError } from "../../../src/base/errors.ts";
import { attach } from "../../../src/vm/guest.ts";
import type { Guest as Attached } from "../../../src/vm/guest.ts";
import { lookWithoutFiles } from "./all-checks.ts";
import type { SilenceLog } from "./silence-log.ts";

const EVERY_MS = 150;

/**
 * Sweeps a guest, which QEMU calls `name`, from when there is a kernel to understand until it has
 * booted. Returns how often that was.
 */
export async function sweepWhileBooting(
  booting: Promise<unknown>,
  name: string,
  log: SilenceLog,
  where: string,
): Promise<number> {
  const state = { booting: true };
  const over = (): void => {
    state.booting = false;
  };
  booting.then(over, over);
  const before = log.sweeps;
  let attached: Attached | undefined;
  while (state.booting) {
    await pause(EVERY_MS);
    attached ??= await attach(name).catch(expectCoded);
    if (attached === undefined || !state.booting) continue;
    log.add(await lookWithoutFiles(attached)(), `${where}, sweep ${log.sweeps} while it boots`);
  }
  attached?.[Symbol.dispose]();
  return log.sweeps - before;
}

/** A kernel that has not come far cannot be understood, which has to be said in a coded error. */
function expectCoded(error: unknown): undefined {
  assert.ok(error instanceof KvmsecError, String(error));
  return undefined;
}
