import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { KvmsecError } from "../../../src/base/errors.ts";
import { checks } from "../../../src/checks/registry.ts";
import { sweep } from "../../../src/checks/sweep.ts";
import { attach } from "../../../src/vm/guest.ts";
import type { Guest as Attached } from "../../../src/vm/guest.ts";
import { onRunningKernel } from "../../../src/vm/running-kernel.ts";
import type { SilenceLog } from "./silence-log.ts";

const EVERY_MS = 150;

/**
 * Tries to sweep a guest, which QEMU calls `name`, from when there is a kernel to understand until
 * it has booted: as all who judge a guest do, who refuse a kernel that still boots. Returns how
 * often it was swept.
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
    const guest = attached;
    const seen = await onRunningKernel(guest, () => sweep(guest.kernel, checks)).catch(expectCoded);
    if (seen !== undefined) log.add(seen, `${where}, sweep ${log.sweeps} while it boots`);
  }
  attached?.[Symbol.dispose]();
  return log.sweeps - before;
}

/** A kernel that has not come far cannot be understood, which has to be said in a coded error. */
function expectCoded(error: unknown): undefined {
  assert.ok(error instanceof KvmsecError, String(error));
  return undefined;
}
