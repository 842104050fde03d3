import assert from "node:assert/strict";
import { test } from "node:test";
import { checks, sharesOf } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { independentWitnesses } from "../../src/policy/independence.ts";
import { attach } from "../../src/vm/guest.ts";
import { assertFound, assertGone } from "./harness/check-story.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { moduleFolder } from "./harness/guest-modules.ts";
import { bootTiny } from "./harness/guest.ts";
import { SimulatorBench, combined, simulators } from "./harness/simulators.ts";

const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "bookworm-backports", flavour: "cloud", cpu: "max" },
] as const;

for (const { release, flavour, cpu } of guests) {
  test(`modules that tamper are found: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    const modules = ["dummy", "nf_tables"];
    await using guest = await bootTiny({
      kernel,
      cpu,
      cpus: 1,
      ram: "file",
      modules,
      tools: ["setpriv"],
    });
    const bench = await SimulatorBench.open(guest, kernel);
    using attached = await attach(`pid:${guest.pid}`);
    const files = findKernelFiles(attached, {
      kernelFile: kernel.vmlinuz,
      modulesDir: await moduleFolder(guest.options),
    });
    const look = (): Sweep => sweep(attached.kernel, checks, files);
    await t.test("nothing is found before", () => assertGone(look()));
    await t.test("one that does all at once has three witnesses at the least", async (inner) => {
      const { undo, remove } = await bench.plant(combined);
      const { findings } = look();
      inner.diagnostic(findings.map(({ title }) => title).join("; "));
      const witnesses = findings.map(({ check }) => ({ check, shares: sharesOf(check) }));
      assert.ok(independentWitnesses(witnesses) >= 3);
      await undo();
      assertGone(look());
      await remove();
    });
    for (const simulator of simulators) {
      if (Number.isNaN(attached.kernel.symbol(simulator.needs ?? "linux_banner"))) continue;
      await t.test(`${simulator.check}: ${simulator.title}`, async (inner) => {
        const { undo, remove } = await bench.plant(simulator);
        try {
          assertFound(inner, simulator, look);
          await undo();
          assertGone(look());
        } finally {
          await remove();
        }
      });
    }
    await t.test("nothing is found afterwards", () => assertGone(look()));
  });
}
