import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tableLines } from "../../src/cli/table.ts";
import { kernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest, GuestOptions } from "../vm/harness/guest.ts";
import { captures } from "./capture.ts";
import { idleGuard, watching } from "./guard.ts";
import type { Figure } from "./measure.ts";
import { monitorMemory } from "./monitor-memory.ts";
import { restorations } from "./restore.ts";
import { discovery, pageWalk, processList, sweepOfMany, sweeps, wholeCommand } from "./views.ts";

const BASELINE = join(import.meta.dirname, "baseline.json");
const RUNS = 9;
/** What a server of that size has loaded, more or less. */
const MODULES = ["nf_tables", "ext4", "overlay", "bridge", "veth", "fuse", "tun"];

type Baseline = Readonly<Record<string, number>>;
type Section = () => Promise<Figure[]>;

/** Each has a guest of its own where it changes what the others would measure. */
const sections: Readonly<Record<string, Section>> = {
  views: () => withGuest(ofServer, views),
  guard: () => withGuest(ofServer, watching),
  capture: () => withGuest({ memory: "1G", cpus: 2 }, captures),
  restore: restorations,
  memory: monitorMemory,
  idle: () => withGuest({ memory: "128M", cpus: 1, ram: "file" }, idleGuard),
};

const ofServer: Omit<GuestOptions, "kernel"> = { memory: "1G", cpus: 2, modules: MODULES };

async function withGuest(
  options: Omit<GuestOptions, "kernel">,
  measure: (guest: Guest) => Promise<Figure[]>,
): Promise<Figure[]> {
  const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: bookworm, ...options });
  return await measure(guest);
}

async function views(guest: Guest): Promise<Figure[]> {
  return [
    ...discovery(guest, RUNS),
    ...(await pageWalk(guest)),
    ...(await sweeps(guest)),
    ...wholeCommand(guest, RUNS),
    ...(await processList(guest, 100, 0.3)),
    ...(await sweepOfMany(guest)),
    ...(await processList(guest, 2000, 3)),
  ];
}

/**
 * Measures the sections that are named, or all, and prints each figure beside its goal and the
 * stored baseline as soon as it is known. `--save` makes what was measured the baseline.
 */
async function main(): Promise<void> {
  const words = process.argv.slice(2).filter((word) => word !== "--save");
  const unknown = words.filter((word) => !Object.hasOwn(sections, word));
  if (unknown.length > 0) {
    process.stderr.write(`no section ${unknown.join(", ")}; ${Object.keys(sections).join(", ")}\n`);
    process.exitCode = 2;
    return;
  }
  const baseline = JSON.parse(readFileSync(BASELINE, "utf8")) as Baseline;
  const all: Figure[] = [];
  for (const name of words.length > 0 ? words : Object.keys(sections)) {
    const start = performance.now();
    const figures = await sections[name]!();
    const seconds = (performance.now() - start) / 1000;
    process.stdout.write(`\n${name} (${seconds.toFixed(0)} s)\n`);
    print(figures, baseline);
    all.push(...figures);
  }
  const missed = all.filter(({ value, goal }) => value > goal).map(({ name }) => name.trim());
  const summary = missed.length === 0 ? "" : `; not met: ${missed.join(", ")}`;
  process.stdout.write(`\n${all.length - missed.length} of ${all.length} goals met${summary}\n`);
  if (process.argv.includes("--save")) save(all, baseline, words.length === 0);
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

/** What was not measured this time keeps its place, unless all was. */
function save(figures: readonly Figure[], before: Baseline, whole: boolean): void {
  const entries = figures.map(({ name, value }) => [stableName(name), Number(round(value))]);
  const baseline = { ...(whole ? {} : before), ...Object.fromEntries(entries) };
  writeFileSync(BASELINE, `${JSON.stringify(baseline, undefined, 2)}\n`);
}

await main();
