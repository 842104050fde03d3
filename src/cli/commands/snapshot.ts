import type { Command } from "commander";
import { inspect } from "../../daemon/inspect.ts";
import { settlePending } from "../../response/pending.ts";
import {
  createSnapshot,
  deleteSnapshot,
  listSnapshots,
  restoreSnapshot,
} from "../../response/snapshot.ts";
import type { SnapshotEntry } from "../../response/snapshot.ts";
import { openHome } from "../../vm/home.ts";
import type { Home } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { durationText, sizeText, write, writeDocument, writeTable } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import type { Column } from "../table.ts";
import { tellSettled } from "./respond.ts";

type Options = { readonly json?: boolean };

/** `kvmsec snapshot`, also reached as `kvmsec vm snapshot`: a VM's moments, kept and put back. */
export const define: CommandModule["define"] = (command, io) => {
  defineCreate(command, io);
  defineList(command, io);
  defineRestore(command.command("restore"), io);
  defineDelete(command, io);
};

function defineCreate(command: Command, io: CommandIo): void {
  command
    .command("create")
    .description("keeps a VM as it is now, memory included; it stands still for some milliseconds")
    .argument("<vm>", "the VM's name")
    .argument("<snapshot>", "what to call it")
    .option("--json", "one JSON document")
    .action((vm: string, name: string, options: Options) => create(io, vm, name, options));
}

async function create(io: CommandIo, vm: string, name: string, options: Options): Promise<void> {
  const home = await settledHome(io);
  const { state, pauseMs, job } = await createSnapshot(home, vm, name);
  if (options.json === true) {
    const { savedAt, running } = state;
    const facts = { target: vm, name, savedAt, running, pauseMs, job };
    return writeDocument(io, "kvmsec.snapshot/1", facts);
  }
  const pause =
    pauseMs === 0 ? "it stood still already" : `it stood still for ${durationText(pauseMs)}`;
  await write(io.stdout, `${vm} as it was is kept as ${name}; ${pause}.\n`);
}

function defineList(command: Command, io: CommandIo): void {
  command
    .command("list")
    .description("the saved states of a VM: snapshots, and clean states")
    .argument("<vm>", "the VM's name")
    .option("--json", "one JSON document")
    .action((vm: string, options: Options) => list(io, vm, options));
}

const columns: readonly Column<SnapshotEntry>[] = [
  { title: "NAME", value: ({ name }) => name },
  { title: "KIND", value: ({ state }) => state?.kind },
  { title: "SAVED", value: ({ state }) => state?.savedAt.slice(0, 19).replace("T", " ") },
  { title: "GUEST", value: ({ state }) => state && (state.running ? "ran" : "stood still") },
  { title: "TAKES", value: ({ size }) => sizeText(size), align: "right" },
  { title: "FAULT", value: ({ fault }) => fault, shrink: 20 },
];

async function list(io: CommandIo, vm: string, options: Options): Promise<void> {
  const entries = listSnapshots(openHome(), vm);
  if (options.json !== true) return writeTable(io, columns, entries);
  const snapshots = entries.map(({ name, state, fault, size }) => ({
    name,
    kind: state?.kind ?? null,
    savedAt: state?.savedAt ?? null,
    running: state?.running ?? null,
    size,
    fault: fault ?? null,
  }));
  await writeDocument(io, "kvmsec.snapshots/1", { target: vm, snapshots });
}

/** Also reached as `kvmsec vm restore`. */
export function defineRestore(command: Command, io: CommandIo): void {
  command
    .description("puts a VM back to a saved state; what it is now is lost")
    .argument("<vm>", "the VM's name")
    .argument("<snapshot>", "which")
    .option("--json", "one JSON document")
    .action((vm: string, name: string, options: Options) => restore(io, vm, name, options));
}

async function restore(io: CommandIo, vm: string, name: string, options: Options): Promise<void> {
  const home = await settledHome(io);
  using shown = stageProgress(io);
  const { run, downMs, job } = await restoreSnapshot(home, vm, name, shown.step);
  shown.done();
  if (options.json === true) {
    const facts = { target: vm, name, pid: run.pid, downMs, job };
    return writeDocument(io, "kvmsec.snapshot-restore/1", facts);
  }
  await write(
    io.stdout,
    `${vm} is again what it was as ${name} (pid ${run.pid}); ${durationText(downMs)} without a guest.\n`,
  );
}

function defineDelete(command: Command, io: CommandIo): void {
  command
    .command("delete")
    .description("removes a saved state")
    .argument("<vm>", "the VM's name")
    .argument("<snapshot>", "which")
    .option("--json", "one JSON document")
    .action(async (vm: string, name: string, options: Options) => {
      const home = await settledHome(io);
      await deleteSnapshot(home, vm, name);
      if (options.json !== true) return write(io.stdout, `${name} of ${vm} is deleted.\n`);
      await writeDocument(io, "kvmsec.snapshot/1", { target: vm, name, deleted: true });
    });
}

async function settledHome(io: CommandIo): Promise<Home> {
  const home = openHome();
  await tellSettled(io, await settlePending(home, inspect));
  return home;
}
