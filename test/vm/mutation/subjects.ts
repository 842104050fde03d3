import { checks } from "../../../src/checks/registry.ts";
import { sweep } from "../../../src/checks/sweep.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import * as allViews from "../../../src/views/index.ts";
import { readInfo } from "../../../src/views/info.ts";
import type { View } from "../../../src/views/view.ts";

/**
 * Something that looks into a guest, and how often that can be afforded: in each `every`th image,
 * and in those where what it reads is damaged.
 */
export type Subject = {
  readonly name: string;
  readonly every: number;
  readonly run: (kernel: Kernel) => void;
};

/** Views that cost more than a few milliseconds even in a sound guest. */
const SELDOM: Readonly<Record<string, number>> = { maps: 10, symbols: 100, syscalls: 20 };
const SELDOM_CHECKED: Readonly<Record<string, number>> = {
  "kernel-pages": 25,
  "syscall-dispatch": 25,
};

/** Every view, and every check that needs nothing but the guest's memory. */
export function subjects(): Subject[] {
  const views = Object.entries(allViews).map(([name, view]) => ({
    name,
    every: SELDOM[name] ?? 2,
    run: (kernel: Kernel) => readView(kernel, view as View<unknown>),
  }));
  const sweeps = checks.map((check) => ({
    name: `check ${check.id}`,
    every: SELDOM_CHECKED[check.id] ?? 12,
    run: (kernel: Kernel) => {
      const result = sweep(kernel, [check]);
      JSON.stringify(result);
      // A sweep outlives a fault in a check; here it counts.
      const reason = result.checks[0]?.reason ?? "";
      if (/fault in the check/.test(reason)) throw new Error(reason);
    },
  }));
  const info = { name: "info", every: 2, run: (kernel: Kernel) => void readInfo(kernel) };
  return [...views, info, ...sweeps];
}

function readView(kernel: Kernel, view: View<unknown>): void {
  kernel.refresh();
  const problems: string[] = [];
  for (const row of view.read(kernel, {}, (reason) => problems.push(reason))) {
    JSON.stringify(view.json(row, kernel));
  }
  if (problems.length > 100_000) throw new Error(`${problems.length} problems told`);
}
