import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { kernel } from "./harness/debian-kernel.ts";
import { dumpsSayTheSame } from "./harness/dump-equality.ts";
import { bootTiny } from "./harness/guest.ts";
import { helperProgram } from "./harness/helper-program.ts";
import { populate, populationModules } from "./harness/populate.ts";

/** Views that a guest may well have nothing to say in. */
const FEW: Readonly<Record<string, number>> = {
  netfilter: 0,
  packetHandlers: 1,
  netdevs: 4,
  probes: 1,
};

test("every view says the same of a stopped guest and of its dumps in every format", async (t) => {
  const zoo = readFileSync(await helperProgram("bpf-zoo"));
  await using guest = await bootTiny({
    kernel: await kernel({ release: "bookworm", flavour: "cloud" }),
    ram: "file",
    memory: "384M",
    modules: populationModules,
    files: { "/usr/bin/bpf-zoo": { data: zoo, mode: 0o755 } },
  });
  await populate(guest);
  const said = await dumpsSayTheSame(t, guest);
  for (const [view, lines] of Object.entries(said)) {
    assert.ok(lines.length >= (FEW[view] ?? 5), `${view} has ${lines.length} lines`);
    assert.deepEqual(
      lines.filter((line) => line.startsWith("problem: ")),
      [],
      view,
    );
  }
});
