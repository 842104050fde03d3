import assert from "node:assert/strict";
import { test } from "node:test";
import type { View } from "../../src/views/view.ts";
import * as views from "../../src/views/index.ts";
import { attach } from "../../src/vm/guest.ts";
import { viewsSurviveDamage } from "./harness/damage.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";

/** Takes nothing from memory that was not checked when the kernel was opened. */
const { symbols, ...others } = views;

test("no view crashes or runs away over 2,000 damaged copies of a guest's memory", async (t) => {
  assert.ok(symbols.list !== undefined);
  const trixie = await kernel({ release: "trixie", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: trixie, memory: "256M", ram: "memfd" });
  await guest.qmp("stop");
  using attached = await attach(`pid:${guest.pid}`);
  const all: readonly View<unknown>[] = Object.values(others);
  const { pages, problems } = viewsSurviveDamage(attached.memory, all, 2000, 20_260_101);
  t.diagnostic(`${pages} pages, ${problems} problems told`);
  assert.ok(pages > 300 && problems > 2000);
});
