import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { KvmsecError } from "../../src/base/errors.ts";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Kernel } from "../../src/linux/kernel.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { onRunningKernel } from "../../src/vm/running-kernel.ts";
import { bootDebian } from "../vm/harness/debian-guest.ts";
import { assertSame } from "../vm/harness/dump-equality.ts";
import { everyView } from "../vm/harness/every-view.ts";
import { serverPackages } from "../vm/harness/server-packages.ts";

const guests = [
  { release: "bookworm", flavour: "cloud", image: "bookworm", cpu: "max" },
  { release: "trixie", flavour: "generic", image: "trixie", cpu: "max" },
  { release: "trixie-backports", flavour: "cloud", image: "trixie", cpu: "max,la57=off" },
] as const;

const EVERY_MS = 100;

/** Attaches as soon as there is a kernel to understand, and looks at all of it. */
async function attachEarly(name: string, state: { booting: boolean }): Promise<Attached> {
  let attached: Attached | undefined;
  while (state.booting) {
    await pause(EVERY_MS);
    attached ??= await attach(name).catch(expectCoded);
    if (attached === undefined) continue;
    const { kernel } = attached;
    const looked = await onRunningKernel(attached, () => {
      everyView(kernel);
      return sweep(kernel, checks);
    }).catch(expectCoded);
    if (looked !== undefined) return attached;
  }
  attached?.[Symbol.dispose]();
  return assert.fail(`${name} had booted before it could be looked at`);
}

function expectCoded(error: unknown): undefined {
  assert.ok(error instanceof KvmsecError, String(error));
  return undefined;
}

/** What each check saw, without how long it took. */
function coverage(kernel: Kernel): unknown {
  const { checks: results, findings } = sweep(kernel, checks);
  return { findings, results: results.map((result) => ({ ...result, durationMs: 0 })) };
}

for (const { release, flavour, image, cpu } of guests) {
  test(`who came while it booted sees what who comes later sees: ${release}`, async () => {
    const name = `early-${release}-${process.pid}`;
    const options = { ram: "file", memory: "1536M", cpus: 2, name, cpu } as const;
    const booting = bootDebian({ release, flavour, packages: serverPackages[image], ...options });
    const state = { booting: true };
    const over = (): void => {
      state.booting = false;
    };
    booting.then(over, over);
    const attaching = attachEarly(name, state);
    // Told of below; the guest has to be ended first.
    attaching.catch(() => {});
    await using booted = await booting;
    const { guest } = booted;
    using early = await attaching;
    // What takes new memory of every kind: file systems, devices, per-CPU areas of modules.
    await guest.run("modprobe xfs; modprobe dummy; modprobe nf_tables; sleep 2");
    await guest.qmp("stop");
    using late = await attach(`pid:${guest.pid}`);
    assertSame(everyView(early.kernel), everyView(late.kernel));
    assert.deepEqual(coverage(early.kernel), coverage(late.kernel));
  });
}
