import { createHash } from "node:crypto";
import type { Check } from "../../../src/checks/check.ts";
import { checks } from "../../../src/checks/registry.ts";
import { sweep } from "../../../src/checks/sweep.ts";
import { copyPieces } from "../../../src/linux/file-copy.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { PageCache } from "../../../src/linux/page-cache.ts";
import { physicalSize } from "../../../src/memory/physical-memory.ts";
import * as allViews from "../../../src/views/index.ts";
import { readInfo } from "../../../src/views/info.ts";
import type { View } from "../../../src/views/view.ts";

/**
 * Something that looks into a guest, and how often that can be afforded: in one of `every` images,
 * and in all those where what it reads is damaged.
 */
export type Subject = {
  readonly name: string;
  readonly every: number;
  /** What it says, which has to be the same again once the damage is mended; "" where that is not held. */
  readonly run: (kernel: Kernel) => string;
};

/** Views that cost more than a few milliseconds even in a sound guest. */
const SELDOM: Readonly<Record<string, number>> = { maps: 24, symbols: 200, syscalls: 24 };
/** More are no answer but a waste. */
const MOST_PROBLEMS = 100_000;
const SELDOM_CHECKED: Readonly<Record<string, number>> = {
  "kernel-pages": 50,
  "object-operations": 50,
  "syscall-dispatch": 50,
};

/** Every view, the copying of cached files, and every check that needs nothing but memory. */
export function subjects(): Subject[] {
  const views = Object.entries(allViews).map(([name, view]) => ({
    name,
    every: SELDOM[name] ?? 4,
    run: (kernel: Kernel) => readView(kernel, view as View<unknown>),
  }));
  const sweeps = checks.map((check) => ({
    name: `check ${check.id}`,
    every: SELDOM_CHECKED[check.id] ?? 24,
    run: (kernel: Kernel) => readCheck(kernel, check),
  }));
  const info = {
    name: "info",
    every: 4,
    run: (kernel: Kernel) => JSON.stringify(readInfo(kernel)),
  };
  return [...views, { name: "contents", every: 20, run: copyFiles }, info, ...sweeps];
}

function readView(kernel: Kernel, view: View<unknown>): string {
  kernel.refresh();
  const digest = createHash("sha256");
  const problems = new Set<string>();
  const problem = (reason: string): void => {
    if (problems.add(reason).size <= MOST_PROBLEMS) digest.update(reason);
    else throw new Error(`${problems.size} problems told, at last: ${reason}`);
  };
  for (const row of view.read(kernel, {}, problem)) {
    digest.update(JSON.stringify(view.json(row, kernel)));
  }
  return digest.digest("hex");
}

/** Copies small cached files: in order, and never more than there is memory. */
function copyFiles(kernel: Kernel): string {
  kernel.refresh();
  const cache = new PageCache(kernel);
  const budget = kernel.budget();
  const digest = createHash("sha256");
  for (const file of allViews.pagecache.read(kernel, { path: "/t" }, () => {})) {
    let last = 0;
    const copy = copyPieces(
      cache.pieces(file.address, budget, () => {}),
      (offset, bytes) => {
        if (offset < last || bytes.length === 0) throw new Error(`a piece at ${offset}`);
        last = offset + bytes.length;
        digest.update(bytes);
      },
    );
    if (copy.copied > physicalSize(kernel.memory)) throw new Error(`${copy.copied} bytes copied`);
    digest.update(JSON.stringify(copy));
  }
  return digest.digest("hex");
}

function readCheck(kernel: Kernel, check: Check): string {
  const result = sweep(kernel, [check]);
  JSON.stringify(result);
  // A sweep outlives a fault in a check; here it counts.
  const reason = result.checks[0]?.reason ?? "";
  if (/fault in the check/.test(reason)) throw new Error(reason);
  return "";
}
