import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "../../../src/daemon/inspect.ts";
import { EventLog, eventLogPath } from "../../../src/events/event-log.ts";
import { readLog } from "../../../src/events/log-reader.ts";
import { verifyPackage } from "../../../src/evidence/verify.ts";
import { connectQmp } from "../../../src/qmp/connection.ts";
import { pendingJobs } from "../../../src/response/job.ts";
import { Journal } from "../../../src/response/journal.ts";
import { settlePending } from "../../../src/response/pending.ts";
import type { Home } from "../../../src/vm/home.ts";

const program = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const hook = pathToFileURL(fileURLToPath(new URL("fault-hook.ts", import.meta.url))).href;
/** As NODE_OPTIONS it loads the hook, which the environment then tells what is to go wrong. */
export const hookOption = `--import=${hook}`;

export const faultKinds = ["kill", "torn", "full", "qemu", "stall", "clock"] as const;
export type FaultKind = (typeof faultKinds)[number];

/** One thing that goes wrong: at the Nth point of a command where something becomes durable. */
export type Fault = {
  readonly kind: FaultKind;
  readonly point: number;
  readonly command: readonly string[];
};

/** The guest at which faults are made. */
export type Victim = {
  readonly home: Home;
  /** QEMU's pid, or undefined where it does not run. */
  pid(): number | undefined;
  /** A monitor that is free. */
  readonly monitor: () => string;
};

/** The same numbers for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const LIMIT_MS = 60_000;

/** Runs a command with the fault in it; returns how it ended. */
export async function runFaulty(home: Home, fault: Fault, qemu: number): Promise<string> {
  const { kind, point, command } = fault;
  const flags = ["--conditions=kvmsec-source", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...flags, program, ...command], {
    env: {
      ...process.env,
      KVMSEC_HOME: home.root,
      NODE_OPTIONS: hookOption,
      KVMSEC_FAULT: `${kind}:${point}:${qemu}`,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  clearTimeout(timer);
  const refusal = /^kvmsec: (KVMSEC_\w+)/m.exec(said)?.[1] ?? "";
  return `${signal ?? code} ${refusal}`.trim();
}

/**
 * Has what was begun settled, and looks whether all still holds: nothing that was on record is lost,
 * no job is open, the guest is gone or in a state that somebody can go on from, and what lies in the
 * evidence folder is whole.
 */
export async function mustHold(victim: Victim, before: readonly string[]): Promise<string> {
  const { home } = victim;
  await settlePending(home, inspect);
  const entries = new Journal(home).read();
  const hashes = entries.map(({ hash }) => hash);
  assert.deepEqual(hashes.slice(0, before.length), before, "what was on record is lost");
  assert.deepEqual(pendingJobs(home), [], "a job is left open");
  await mustBeWhole(join(home.root, "evidence"));
  logMustVerify(home);
  return stateOf(victim);
}

async function stateOf({ pid, monitor }: Victim): Promise<string> {
  if (pid() === undefined) return "gone";
  using connection = await connectQmp(monitor(), { timeoutMs: 30_000 });
  const { status } = await connection.execute("query-status");
  // After its devices were saved a guest that stood still is `postmigrate`, and can go on from there.
  assert.match(status, /^(running|paused|postmigrate)$/, "the guest is left in the middle");
  return status;
}

async function mustBeWhole(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    assert.doesNotMatch(name, /partial/, "half a package is left");
    const { faults } = await verifyPackage(join(folder, name));
    assert.deepEqual(faults, [], name);
  }
}

/** What a torn line left is cut off by the next who writes. */
function logMustVerify({ root }: Home): void {
  if (!existsSync(eventLogPath(root))) return;
  EventLog.open(eventLogPath(root))[Symbol.dispose]();
  assert.equal(readLog(eventLogPath(root)).fault, undefined);
}
