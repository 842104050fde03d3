import { availableParallelism, totalmem } from "node:os";
import type { Ability, Host, Probe } from "./check.ts";
import { hostSystem, thisHost } from "./host.ts";
import { imageProbes } from "./images.ts";
import { accelerator } from "./processor.ts";
import { qemu } from "./qemu.ts";
import { roomProbes } from "./room.ts";
import { watchingProbes } from "./watching.ts";

/** Everything the doctor looks at, in the order in which it is told. */
export const probes: readonly Probe[] = [
  accelerator,
  qemu,
  ...imageProbes,
  ...watchingProbes,
  ...roomProbes,
];

/** What this host can do. */
export type Diagnosis = {
  /** `yes`: all that kvmsec does, if slower here and there; `partly`: some functions are missing; `no`: the main job cannot run. */
  readonly ready: "yes" | "partly" | "no";
  readonly host: {
    readonly distribution: string;
    readonly kernel: string;
    readonly architecture: string;
    readonly node: string;
    readonly user: string;
    readonly cpus: number;
    readonly memory: number;
  };
  readonly abilities: readonly Ability[];
};

/** Looks at everything, side by side. Never throws: a probe that fails is a `missing` with the reason. */
export async function diagnose(
  host: Host = thisHost(),
  wanted: readonly Probe[] = probes,
): Promise<Diagnosis> {
  const abilities = await Promise.all(wanted.map((probe) => examine(probe, host)));
  return {
    ready: readiness(abilities),
    host: {
      ...hostSystem(),
      architecture: process.arch,
      node: process.versions.node,
      user: host.user,
      cpus: availableParallelism(),
      memory: totalmem(),
    },
    abilities,
  };
}

async function examine(probe: Probe, host: Host): Promise<Ability> {
  const { id, title, essential = false } = probe;
  try {
    return { id, title, essential, ...(await probe.look(host)) };
  } catch (error) {
    const found = `could not be examined: ${error instanceof Error ? error.message : String(error)}`;
    return { id, title, essential, status: "missing", found };
  }
}

function readiness(abilities: readonly Ability[]): Diagnosis["ready"] {
  const lacking = abilities.filter(({ status }) => status === "missing");
  if (lacking.length === 0) return "yes";
  return lacking.some(({ essential }) => essential) ? "no" : "partly";
}
