import { KvmsecError } from "../base/errors.ts";
import { capture } from "../response/capture.ts";
import { controlGuest, lockGuest, monitorOf } from "../response/guest-control.ts";
import { settlePending } from "../response/pending.ts";
import { keepEnd } from "../response/keep-end.ts";
import { power } from "../response/power.ts";
import { restore } from "../response/restore.ts";
import { stopVm } from "../vm/guest-vm.ts";
import { withVm } from "../vm/vm-lock.ts";
import { openHome } from "../vm/home.ts";
import type { Home } from "../vm/home.ts";
import { inspect } from "./inspect.ts";
import { killAll, repairAll } from "./inside-work.ts";
import type { InsideOrder } from "./inside-work.ts";

/** What a worker is to do: one thing, then it is ended. */
export type WorkOrder =
  | { readonly work: "settle" }
  | { readonly work: "capture"; readonly target: string; readonly folder: string }
  | InsideOrder
  | { readonly work: "restore"; readonly vm: string }
  | { readonly work: "restart"; readonly target: string }
  | { readonly work: "shutdown"; readonly target: string; readonly vm: string | null }
  | {
      readonly work: "keep-end";
      readonly vm: string;
      readonly ram: string | null;
      readonly evidence: string | null;
    };

export type WorkAnswer =
  | { readonly ok: true; readonly outcome: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly code: string; readonly message: string };

// This file is the program of a reaction that takes long or looks into a guest's memory: it must
// not stop the guard's clock, nor take the guard with it.
process.on("disconnect", () => process.exit(0));
const order = JSON.parse(process.argv[2] ?? "null") as WorkOrder;
process.on("message", () => {
  void answer().then((message) => process.send?.(message));
});

async function answer(): Promise<WorkAnswer> {
  try {
    return { ok: true, outcome: await carryOut(openHome(), order) };
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
  }
}

async function carryOut(home: Home, asked: WorkOrder): Promise<Readonly<Record<string, unknown>>> {
  switch (asked.work) {
    case "settle":
      return { settled: await settlePending(home, inspect) };
    case "capture": {
      const { job, folder, pauseMs, verdict } = await capture(home, asked.target, asked.folder, {
        inspect,
      });
      return { job, folder, pauseMs, verdict };
    }
    case "restore": {
      // The policy's own `capture` comes before it, where it asks for one.
      const { job, from, runningMs } = await restore(home, asked.vm, { inspect, evidence: false });
      return { job, from, runningMs };
    }
    case "restart": {
      const { job, pid } = await power(home, asked.target, "restart");
      return { job, pid };
    }
    case "repair":
      return repairAll(home, asked);
    case "kill-process":
      return killAll(home, asked);
    case "keep-end":
      return keep(home, asked);
    case "shutdown":
      return shutDown(home, asked.target, asked.vm);
  }
}

/** What an abnormal end left, unless somebody else has kept it or started the VM anew. */
async function keep(
  home: Home,
  { vm, ram, evidence }: WorkOrder & { readonly work: "keep-end" },
): Promise<{ [key: string]: unknown }> {
  const options = { ram: ram ?? undefined, evidence: evidence ?? undefined };
  const kept = await withVm(home, vm, "keeping what is left of it", (config, paths) =>
    keepEnd(home, config, paths, options),
  );
  return { folder: null, ...kept };
}

/** A VM of ours is waited for; another's guest is asked, and what it does is its own matter. */
async function shutDown(
  home: Home,
  target: string,
  vm: string | null,
): Promise<{ [key: string]: unknown }> {
  if (vm !== null) {
    await stopVm(vm, {}, home);
    return { stopped: true };
  }
  const guest = controlGuest(home, target);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `respond ${target} shutdown`));
  using monitor = await monitorOf(guest);
  await monitor.execute("system_powerdown");
  return { asked: true };
}
