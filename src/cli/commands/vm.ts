import { Option } from "commander";
import type { Command } from "commander";
import { usageError } from "../../base/errors.ts";
import { deleteVm, openVm, stopVm } from "../../vm/guest-vm.ts";
import { openHome } from "../../vm/home.ts";
import { vmPaths } from "../../vm/vm-state.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { onInterrupt } from "../interrupt.ts";
import { write, writeDocument } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import { define as defineSnapshot, defineRestore } from "./snapshot.ts";
import { defineConsole } from "./vm-console.ts";
import { defineCreate, defineStart } from "./vm-create.ts";
import { defineList, defineShow, vmDocument } from "./vm-show.ts";

type StopOptions = { readonly force?: boolean; readonly timeout?: number; readonly json?: boolean };
type DeleteOptions = { readonly force?: boolean; readonly json?: boolean };

/** `kvmsec vm`: the life of a guest. */
export const define: CommandModule["define"] = (command, io) => {
  defineCreate(command, io);
  defineStart(command, io);
  defineStop(command, io);
  defineList(command, io);
  defineShow(command, io);
  defineConsole(command, io);
  defineSnapshot(command.command("snapshot").description("moments of it, memory included"), io);
  defineRestore(command.command("restore"), io);
  defineDelete(command, io);
};

function defineStop(command: Command, io: CommandIo): void {
  command
    .command("stop")
    .description("asks the guest to shut down, and waits until it has")
    .argument("<name>", "the VM's name")
    .option("--force", "end it at once, as pulling the plug would")
    .addOption(
      new Option("--timeout <seconds>", "how long the guest may take")
        .argParser(seconds)
        .default(90),
    )
    .option("--json", "one JSON document")
    .action((name: string, options: StopOptions) => stop(io, name, options));
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw usageError("KVMSEC_USAGE", `${JSON.stringify(text)} is no time.`, "--timeout 60");
}

async function stop(io: CommandIo, name: string, options: StopOptions): Promise<void> {
  const home = openHome();
  using interruption = onInterrupt();
  using shown = stageProgress(io);
  const how = {
    force: options.force === true,
    timeoutMs: (options.timeout ?? 90) * 1000,
    signal: interruption.signal,
    onStage: shown.step,
  };
  await stopVm(name, how, home);
  shown.done();
  if (options.json === true) {
    await writeDocument(io, "kvmsec.vm/1", await vmDocument(openVm(name, home)));
  } else {
    await write(io.stdout, `${name} is stopped.\n`);
  }
}

function defineDelete(command: Command, io: CommandIo): void {
  command
    .command("delete")
    .description("removes a VM and its disk; its image stays")
    .argument("<name>", "the VM's name")
    .option("--force", "end it first where it runs")
    .option("--json", "one JSON document")
    .action((name: string, options: DeleteOptions) => remove(io, name, options));
}

async function remove(io: CommandIo, name: string, options: DeleteOptions): Promise<void> {
  const home = openHome();
  const vm = openVm(name, home);
  if (options.force === true && vm.run !== undefined) await stopVm(name, { force: true }, home);
  await deleteVm(name, home);
  if (options.json === true) {
    await writeDocument(io, "kvmsec.vm/1", { name, deleted: true });
  } else {
    await write(io.stdout, `${name} is deleted; ${vmPaths(home, name).folder} is gone.\n`);
  }
}
