import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { attach } from "../../src/vm/guest.ts";
import { lookWithFiles, lookWithoutFiles } from "../vm/harness/all-checks.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { randomOf } from "../vm/harness/fault-run.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { harmlessCauses } from "../vm/harness/harmless.ts";
import { SilenceLog } from "../vm/harness/silence-log.ts";
import { deviceStorm, moduleStorm, repeated, storm } from "../vm/harness/storm.ts";

/** Of each kernel; another number is asked for by KVMSEC_TEST_STOPS. */
const STOPS = Number(process.env["KVMSEC_TEST_STOPS"] ?? 300);
const SEED = Number(process.env["KVMSEC_TEST_SEED"] ?? 1);
const kernels = ["bullseye/cloud", "bookworm/cloud", "bookworm/rt", "trixie/generic", "sid/cloud"];
const MODULES = ["dummy", "bridge", "tun", "xfs", "wireguard"];
const MOST_MS = 60;

for (const name of kernels) {
  test(`a guest that stands still in the midst of anything is clean: ${name}`, async (t) => {
    const kernel = await debianKernel(parseKernel(name));
    const options = { cpus: 2, ram: "file", memory: "768M", availableModules: MODULES } as const;
    await using guest = await bootTiny({ kernel, ...options });
    const log = new SilenceLog();
    using early = await attach(`pid:${guest.pid}`);
    const withFiles = await lookWithFiles(guest, early);
    await using storms = new AsyncDisposableStack();
    storms.use(await storm(guest, ["fork", "thread", "map", "socket", "file", "mount", "traffic"]));
    storms.use(moduleStorm(guest, MODULES));
    storms.use(deviceStorm(guest));
    storms.use(repeated(guest, harmlessCauses.map(({ commands }) => `( ${commands} )`).join(";")));
    const random = randomOf(SEED);
    for (let stop = 0; stop < STOPS; stop++) {
      await pause(random() * MOST_MS);
      await guest.qmp("stop");
      log.add(await withFiles(), `stop ${stop}, with files`);
      log.add(await lookWithoutFiles(early)(), `stop ${stop}, without files`);
      log.add(await asStranger(guest), `stop ${stop}, by a stranger`);
      await guest.qmp("cont");
      if (stop % 50 === 49) console.log(`${name}: ${stop + 1}, ${log.falseFindings} findings`);
    }
    await guest.run("true");
    t.diagnostic(`${log.sweeps} sweeps; seen in part: ${log.partly}`);
    log.assertSilent();
  });
}

/** Somebody who comes while it stands still, as to a dump of it. */
async function asStranger(guest: Guest) {
  using attached = await attach(`pid:${guest.pid}`);
  return sweep(attached.kernel, checks);
}
