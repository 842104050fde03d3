import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tableLines } from "../../src/cli/table.ts";
import { kernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import { idleGuard, watching } from "./guard.ts";
import { captures } from "./capture.ts";
import type { Figure } from "./measure.ts";
import { monitorMemory } from "./monitor-memory.ts";
import { discovery, pageWalk, processList, sweepOfMany, sweeps, wholeCommand } from "./views.ts";

const BASELINE = join(import.meta.dirname, "baseline.json");
const RUNS = 9;
/** What a server of that size has loaded, more or less. */
const MODULES = ["nf_tables", "ext4", "overlay", "bridge", "veth", "fuse", "tun"];

type Baseline = Readonly<Record<string, number>>;

/** Boots one guest, measures, and prints each figure beside its goal and the stored baseline. */
async function main(): Promise<void> {
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8")) as Baseline;
  const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: bookworm, memory: "1G", cpus: 2, modules: MODULES });
  const figures = [
    ...discovery(guest, RUNS),
    ...(await pageWalk(guest)),
    ...(await sweeps(guest)),
    ...wholeCommand(guest, RUNS),
    ...(await processList(guest, 100, 0.3)),
    ...(await sweepOfMany(guest)),
    ...(await processList(guest, 2000, 3)),
    ...(await watching(guest)),
    ...(await captures(guest)),
    ...(await monitorMemory()),
    ...(await idleGuardOfMany()),
  ];
  print(figures, baseline);
  if (process.argv.includes("--save")) save(figures);
}

async function idleGuardOfMany(): Promise<Figure[]> {
  const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: bookworm, memory: "128M", cpus: 1, ram: "file" });
  return await idleGuard(guest);
}

function print(figures: readonly Figure[], baseline: Baseline): void {
  const lines = tableLines<Figure>(
    [
      { title: "FIGURE", value: (row) => row.name },
      { title: "VALUE", value: (row) => `${round(row.value)} ${row.unit}`, align: "right" },
      { title: "GOAL", value: (row) => `${round(row.goal)} ${row.unit}`, align: "right" },
      { title: "MET", value: (row) => (row.value <= row.goal ? "yes" : "no") },
      { title: "AGAINST BASELINE", value: (row) => ratio(row, baseline), align: "right" },
    ],
    figures,
  );
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** These machines are noisy: a ratio below 2 says nothing by itself. */
function ratio({ name, value }: Figure, baseline: Baseline): string | undefined {
  const stored = baseline[stableName(name)];
  return stored === undefined ? undefined : `× ${round(value / stored)}`;
}

/** Task counts differ a little from boot to boot. */
function stableName(name: string): string {
  return name.replace(/\d+ tasks/, (text) => (Number.parseInt(text, 10) < 1000 ? "few" : "many"));
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function save(figures: readonly Figure[]): void {
  const entries = figures.map(({ name, value }) => [stableName(name), Number(round(value))]);
  writeFileSync(BASELINE, `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`);
}

await main();
