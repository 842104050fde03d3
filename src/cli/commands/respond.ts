import { Argument } from "commander";
import { join } from "node:path";
import { usageError } from "../../base/errors.ts";
import { inspect } from "../../daemon/inspect.ts";
import { power } from "../../response/power.ts";
import type { PowerAction } from "../../response/power.ts";
import { respond, simpleActions } from "../../response/respond.ts";
import type { Response, SimpleAction } from "../../response/respond.ts";
import { settlePending } from "../../response/pending.ts";
import { restore } from "../../response/restore.ts";
import type { Restored } from "../../response/restore.ts";
import { saveCleanState } from "../../response/save-clean.ts";
import { openHome } from "../../vm/home.ts";
import type { Home } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { durationText, write, writeDocument } from "../output.ts";
import { printable } from "../text.ts";
import { stageProgress } from "../stage-progress.ts";
import { endProcess, mend } from "./respond-inside.ts";

type Options = {
  readonly json?: boolean;
  readonly cold?: boolean;
  readonly state?: string;
  readonly started?: string;
  readonly kernelFile?: string;
  readonly modulesDir?: string;
  /** A folder, or false for --no-evidence. */
  readonly evidence?: string | false;
};

const actions = [
  ...simpleActions,
  "save-clean",
  "restore",
  "restart",
  "shutdown",
  "kill-process",
  "repair",
] as const;

type RespondAction = (typeof actions)[number];

const said: Readonly<Record<SimpleAction, string>> = {
  freeze: "is frozen",
  resume: "runs on",
  isolate: "is cut off from every network",
  rejoin: "is on its networks again",
  kill: "is ended",
};

/** `kvmsec respond`: acts upon a guest, by hand. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .argument("<target>", "a guest's name, pid:N or qmp:PATH")
    .addArgument(
      new Argument(
        "<action>",
        "freeze and resume its run; isolate it from networks and let it rejoin; kill it at once; restart or shutdown; kill-process PID and repair FINDING work inside it; for a VM of kvmsec: save-clean keeps the state of this moment if a sweep finds it clean, restore puts it (or its golden image) back",
      ).choices(actions),
    )
    .argument("[subject]", "kill-process: the pid; repair: the id of a finding")
    .option(
      "--started <time>",
      "kill-process: when it started, as ps --json says; another is left alone",
    )
    .option("--kernel-file <path>", "repair: the vmlinuz or vmlinux that the guest booted")
    .option("--modules-dir <path>", "repair: a folder with the guest's modules")
    .option("--evidence <folder>", "restore: where the guest is captured before it is replaced")
    .option("--no-evidence", "restore: replace the guest without capturing it")
    .option("--cold", "restore: boot from the golden image although there is a clean state")
    .option("--state <name>", "save-clean, restore: which clean state, where there are several")
    .option("--json", "one JSON document")
    .action(async (target: string, action: RespondAction, subject: string, options: Options) => {
      const home = openHome();
      await tellSettled(io, await settlePending(home, inspect));
      if (action === "kill-process") return endProcess(io, home, target, subject, options);
      if (action === "repair") return mend(io, home, target, subject, options);
      if (subject !== undefined) {
        throw usageError("KVMSEC_USAGE", `${action} is about the whole guest, not ${subject}.`);
      }
      if (action === "restore") return putBack(io, home, target, options);
      if (action === "save-clean") return saveClean(io, home, target, options);
      if (action === "restart" || action === "shutdown") {
        return switchPower(io, home, target, action, options);
      }
      await tell(io, target, await respond(home, target, action), options);
    });
};

async function switchPower(
  io: CommandIo,
  home: Home,
  target: string,
  action: PowerAction,
  options: Options,
): Promise<void> {
  const { outcome, pid, job } = await power(home, target, action);
  if (options.json === true) {
    return writeDocument(io, "kvmsec.power/1", { target, action, outcome, pid, job });
  }
  const how = { restarted: "boots anew", stopped: "is stopped", asked: "was asked to shut down" };
  await write(io.stdout, `${target} ${how[outcome]}.\n`);
}

async function saveClean(io: CommandIo, home: Home, name: string, options: Options): Promise<void> {
  const { state, pauseMs } = await saveCleanState(home, name, inspect, options.state);
  if (options.json === true) {
    const facts = { target: name, state: state.name, savedAt: state.savedAt, verdict: "clean" };
    return writeDocument(io, "kvmsec.clean-save/1", { ...facts, pauseMs });
  }
  const pause = durationText(pauseMs);
  await write(io.stdout, `The clean state of ${name} is saved; it stood still for ${pause}.\n`);
}

async function putBack(io: CommandIo, home: Home, name: string, options: Options): Promise<void> {
  using shown = stageProgress(io);
  const evidence = options.evidence ?? defaultEvidence(home, name);
  const cold = options.cold === true;
  const { state } = options;
  const done = await restore(home, name, { inspect, evidence, cold, state, onStage: shown.step });
  shown.done();
  if (options.json === true) {
    return writeDocument(io, "kvmsec.restore/1", { target: name, evidence, ...done });
  }
  await write(io.stdout, restored(name, done, evidence));
}

function restored(name: string, done: Restored, evidence: string | false): string {
  const source = done.from === "clean-state" ? "its clean state" : "its golden image";
  const kept = evidence === false ? "" : `What it was before is in ${evidence}.\n`;
  return `${name} runs again from ${source}, ${durationText(done.runningMs)} after it was frozen and captured; a sweep found it clean.\n${kept}`;
}

function defaultEvidence(home: Home, name: string): string {
  const time = new Date().toISOString().replaceAll(/[:.]/g, "-");
  return join(home.root, "evidence", `${name}-${time}`);
}

async function tell(
  io: CommandIo,
  target: string,
  response: Response,
  options: Options,
): Promise<void> {
  if (options.json === true) {
    return writeDocument(io, "kvmsec.response/1", { target, ...response });
  }
  const { action, durationMs } = response;
  await write(io.stdout, `${target} ${said[action]} (${durationText(durationMs)}).\n`);
}

/** Says on standard error what was left over from before and is settled now. */
export async function tellSettled(
  io: CommandIo,
  settled: Awaited<ReturnType<typeof settlePending>>,
): Promise<void> {
  for (const { action, target, result, message } of settled) {
    const became =
      result === "gone"
        ? "given up: its guest has ended"
        : result === "open"
          ? `still open: ${printable(message ?? "?")}`
          : result;
    await write(
      io.stderr,
      `kvmsec: '${action}' of ${target} was cut short before; now ${became}\n`,
    );
  }
}
