import assert from "node:assert/strict";
import { test } from "node:test";
import type { View } from "../../src/views/view.ts";
import * as views from "../../src/views/index.ts";
import { attach } from "../../src/vm/guest.ts";
import { viewsSurviveDamage } from "../vm/harness/damage.ts";
import { kernel } from "../vm/harness/debian-kernel.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import { populate, populationModules } from "../vm/harness/populate.ts";

const { symbols, ...others } = views;
const all: readonly View<unknown>[] = Object.values(others);
/** Together 100,000 damaged copies; the last guest has something of everything in it. */
const guests = [
  { name: "bullseye/cloud", rounds: 30_000, populated: false },
  { name: "bookworm/cloud", rounds: 30_000, populated: false },
  { name: "trixie-backports/cloud", rounds: 30_000, populated: false },
  { name: "trixie/cloud", rounds: 10_000, populated: true },
];

for (const { name, rounds, populated } of guests) {
  test(`${rounds} damaged copies of a guest's memory: ${name}`, async (t) => {
    assert.ok(!all.includes(symbols as View<unknown>));
    const wish = await kernel(parseKernel(name));
    const modules = populated ? populationModules : [];
    const memory = populated ? "512M" : "256M";
    await using guest = await bootTiny({ kernel: wish, memory, ram: "memfd", modules });
    if (populated) await populate(guest);
    await guest.qmp("stop");
    using attached = await attach(`pid:${guest.pid}`);
    const { pages, problems } = viewsSurviveDamage(attached.memory, all, rounds, 4711);
    t.diagnostic(`${pages} pages, ${problems} problems told`);
    assert.ok(problems > rounds);
  });
}
