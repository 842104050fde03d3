import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { lookWithFiles } from "../vm/harness/all-checks.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import { SilenceLog } from "../vm/harness/silence-log.ts";
import { deviceStorm, moduleStorm, storm } from "../vm/harness/storm.ts";

/** In all; another number is asked for by KVMSEC_TEST_SWEEPS. */
const SWEEPS = Number(process.env["KVMSEC_TEST_SWEEPS"] ?? 10_000);
/** Of one guest: each boot is shuffled anew. */
const SWEEPS_A_GUEST = 1000;
const kernels = ["bookworm/cloud", "trixie/generic"];
const MODULES = ["dummy", "bridge", "tun", "nbd", "xfs", "wireguard"];

for (const name of kernels) {
  const share = SWEEPS / kernels.length;
  for (let first = 0; first < share; first += SWEEPS_A_GUEST) {
    const last = Math.min(first + SWEEPS_A_GUEST, share);
    test(`a guest under full load: ${name}, sweeps ${first + 1} to ${last}`, async (t) => {
      const log = await sweepUnderLoad(name, last - first);
      // Lists that change faster than they are read may be seen in part, which is said each time.
      t.diagnostic(`${log.sweeps} sweeps; seen in part: ${log.partly}`);
      log.assertSilent();
    });
  }
}

/** Processes, threads, memory, sockets, files, modules and devices come and go all the while. */
async function sweepUnderLoad(name: string, sweeps: number): Promise<SilenceLog> {
  const kernel = await debianKernel(parseKernel(name));
  await using guest = await bootTiny({
    kernel,
    cpus: 2,
    ram: "file",
    memory: "768M",
    availableModules: MODULES,
  });
  using attached = await attach(`pid:${guest.pid}`);
  const look = await lookWithFiles(guest, attached);
  await using storms = new AsyncDisposableStack();
  const kinds = ["fork", "thread", "map", "socket", "file", "mount", "traffic", "memory"] as const;
  storms.use(await storm(guest, kinds));
  storms.use(moduleStorm(guest, MODULES));
  storms.use(deviceStorm(guest));
  const log = new SilenceLog();
  for (let round = 0; round < sweeps; round++) {
    log.add(await look(), `sweep ${round}`);
    // At once: a long run may be cut short.
    if (log.sweeps % 100 === 0) console.log(`${log.sweeps} sweeps, ${log.falseFindings} findings`);
  }
  // It lived through all of it.
  await guest.run("true");
  return log;
}
