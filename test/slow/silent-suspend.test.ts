import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { attach } from "../../src/vm/guest.ts";
import { lookWithFiles } from "../vm/harness/all-checks.ts";
import type { Look } from "../vm/harness/all-checks.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { SilenceLog } from "../vm/harness/silence-log.ts";

const ROUNDS = 2;
const WHILE_ASLEEP = 3;
const BETWEEN_MS = 100;
const PATIENCE = 600_000;

for (const name of ["bookworm/cloud", "trixie/cloud", "trixie-backports/cloud"]) {
  test(`a guest that is suspended and resumed: ${name}`, async (t) => {
    const kernel = await debianKernel(parseKernel(name));
    // The agent's serial port sleeps and wakes with the rest; a virtio port is made anew.
    await using guest = await bootTiny({ kernel, cpus: 2, ram: "file", link: "serial" });
    using attached = await attach(`pid:${guest.pid}`);
    const look = await lookWithFiles(guest, attached);
    const log = new SilenceLog();
    for (let round = 1; round <= ROUNDS; round++) {
      await sleepAndWake(guest, look, log);
      await guest.run(`test "$(cat /sys/power/suspend_stats/success)" = ${round}`);
    }
    t.diagnostic(`${log.sweeps} sweeps; seen in part: ${log.partly}`);
    log.assertSilent();
  });
}

/**
 * Suspends to memory (ACPI S3), which takes away all processors but one; sweeps all the while. Where
 * no clock of the machine wakes it, it is woken from outside.
 */
async function sleepAndWake(guest: Guest, look: Look, log: SilenceLog): Promise<void> {
  const state = { running: true };
  const done = guest.run("echo mem > /sys/power/state", { timeout: PATIENCE }).finally(() => {
    state.running = false;
  });
  done.catch(() => {});
  let asleep = 0;
  while (state.running) {
    const { status } = (await guest.qmp("query-status")) as { status: string };
    log.add(await look(), `sweep ${log.sweeps}, ${status}`);
    if (status === "suspended" && ++asleep >= WHILE_ASLEEP) await guest.qmp("system_wakeup");
    await pause(BETWEEN_MS);
  }
  await done;
  await guest.run('test "$(nproc)" = 2');
  log.add(await look(), `sweep ${log.sweeps}, awake`);
}
