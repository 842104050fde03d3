import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { moduleFolder } from "../vm/harness/guest-modules.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { harmlessCauses } from "../vm/harness/harmless.ts";
import { helperProgram } from "../vm/harness/helper-program.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { silentDuring } from "../vm/harness/silence.ts";
import { deviceStorm, moduleStorm, storm } from "../vm/harness/storm.ts";

/** How often; a longer or shorter run is asked for by KVMSEC_TEST_BOOTS and KVMSEC_TEST_SWEEPS. */
const BOOTS = Number(process.env["KVMSEC_TEST_BOOTS"] ?? 200);
const SWEEPS = Number(process.env["KVMSEC_TEST_SWEEPS"] ?? 10_000);
const SWEEPS_A_BOOT = 5;

const kernels = [
  "bookworm/cloud",
  "trixie/generic",
  "bullseye/cloud",
  "bookworm/generic",
  "sid/cloud",
  "trixie/cloud",
  "bookworm-backports/cloud",
  "trixie-backports/generic",
  "bullseye/generic",
  "trixie-backports/cloud",
];
const MODULES = ["dummy", "bridge", "tun", "nbd", "xfs", "wireguard"];

type Look = () => Promise<Sweep>;

test(`${BOOTS} clean boots`, async (t) => {
  let sweeps = 0;
  for (let boot = 0; boot < BOOTS; boot++) {
    const name = kernels[boot % kernels.length];
    const kernel = await debianKernel(parseKernel(name));
    const cpu = boot % 3 === 0 ? "max,la57=off" : "max";
    const ram = (["memfd", "file", "anonymous"] as const)[boot % 3];
    await using guest = await bootTiny({ kernel, cpu, cpus: 1 + (boot % 2), ram });
    using attached = await attach(`pid:${guest.pid}`);
    const look = await looker(guest, attached);
    for (let round = 0; round < SWEEPS_A_BOOT; round++) {
      const { findings } = await look();
      assert.deepEqual(findings, [], `boot ${boot}, ${name}`);
      sweeps++;
    }
  }
  t.diagnostic(`${sweeps} sweeps in ${BOOTS} boots`);
});

for (const name of ["bookworm/cloud", "trixie/generic"]) {
  test(`a guest under full load: ${name}`, async (t) => {
    const kernel = await debianKernel(parseKernel(name));
    await using guest = await bootTiny({
      kernel,
      cpus: 2,
      ram: "file",
      memory: "1G",
      availableModules: MODULES,
    });
    using attached = await attach(`pid:${guest.pid}`);
    const look = await looker(guest, attached);
    await using storms = new AsyncDisposableStack();
    storms.use(await storm(guest, ["fork", "thread", "map", "socket", "file"]));
    storms.use(moduleStorm(guest, MODULES));
    storms.use(deviceStorm(guest));
    const partly = new Map<string, number>();
    for (let round = 0; round < SWEEPS / 2; round++) {
      const { findings, checks: results } = await look();
      assert.deepEqual(findings, [], `sweep ${round}`);
      for (const { id, status } of results) {
        if (status !== "pass") partly.set(id, (partly.get(id) ?? 0) + 1);
      }
    }
    // Lists that change faster than they are read may be seen in part, which is said each time.
    t.diagnostic(`${SWEEPS / 2} sweeps; seen in part: ${JSON.stringify([...partly])}`);
  });
}

test("harmless causes on the newest kernel", async (t) => {
  const kernel = await debianKernel(parseKernel("trixie-backports/cloud"));
  await using guest = await bootTiny({
    kernel,
    cpus: 2,
    ram: "file",
    memory: "1G",
    availableModules: ["dummy", "bridge", "tun"],
    files: {
      "/root/vmlinuz": readFileSync(kernel.vmlinuz),
      "/usr/sbin/kexec-load": {
        data: readFileSync(await helperProgram("kexec-load")),
        mode: 0o755,
      },
    },
  });
  using attached = await attach(`pid:${guest.pid}`);
  const look = await looker(guest, attached);
  const kexec = {
    title: "a kernel loaded for kexec",
    commands: "kexec-load /root/vmlinuz; sleep 2; kexec-load",
  };
  for (const { title, commands } of [kexec, ...harmlessCauses]) {
    await t.test(title, async (inner) => {
      inner.diagnostic(`${await silentDuring(guest, look, commands)} sweeps`);
    });
  }
});

/** All checks, with the files of the kernel and of its modules, and with registers. */
async function looker(guest: Guest, attached: Attached): Promise<Look> {
  const files = findKernelFiles(attached, {
    kernelFile: guest.options.kernel.vmlinuz,
    modulesDir: await moduleFolder(guest.options),
  });
  return async () =>
    sweep(attached.kernel, checks, { ...files, ...(await readProcessors(attached)) });
}
