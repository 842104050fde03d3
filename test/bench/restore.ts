import { inspect } from "../../src/daemon/inspect.ts";
import { respond } from "../../src/response/respond.ts";
import { restore } from "../../src/response/restore.ts";
import { saveCleanState } from "../../src/response/save-clean.ts";
import { createVm, deleteVm, openVm, startVm, stopVm } from "../../src/vm/guest-vm.ts";
import { openConsole, waitForLogin } from "../../src/vm/console-link.ts";
import { testHome } from "../vm/golden-image.ts";
import type { Figure } from "./measure.ts";

const NAME = "bench";
const RUNS = 5;
const BOOT_MS = 300_000;

/** From a frozen VM of 1 GiB to a clean one that runs: a Debian with systemd, restored again and again. */
export async function restorations(): Promise<Figure[]> {
  using home = await testHome();
  await createVm(NAME, { image: home.image, memoryBytes: 2 ** 30 }, home);
  try {
    await startVm(NAME, {}, home);
    {
      using link = await openConsole(openVm(NAME, home), home);
      await waitForLogin(link, NAME, BOOT_MS);
    }
    await saveCleanState(home, NAME, inspect);
    const running: number[] = [];
    const down: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      await respond(home, NAME, "freeze");
      const { runningMs, downMs } = await restore(home, NAME, { inspect, evidence: false });
      running.push(runningMs);
      down.push(downMs);
    }
    return [
      { name: "from frozen to a clean guest", value: Math.min(...running), unit: "ms", goal: 300 },
      { name: "  of it without any guest", value: Math.min(...down), unit: "ms", goal: 300 },
    ];
  } finally {
    if (openVm(NAME, home).run !== undefined) await stopVm(NAME, { force: true }, home);
    await deleteVm(NAME, home);
  }
}
