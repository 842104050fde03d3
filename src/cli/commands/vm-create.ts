import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { openConsole, waitForLogin } from "../../vm/console-link.ts";
import { createVm, openVm, startVm } from "../../vm/guest-vm.ts";
import { keepEnd } from "../../response/keep-end.ts";
import { openHome } from "../../vm/home.ts";
import type { Home } from "../../vm/home.ts";
import { parseSize } from "../../vm/size.ts";
import { acceleratorWishes, machineKinds, networkKinds, ramKinds } from "../../vm/vm-state.ts";
import type { VmConfig } from "../../vm/vm-state.ts";
import type { CommandIo } from "../command.ts";
import { durationText, write, writeDocument } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import type { StageProgress } from "../stage-progress.ts";
import { vmDocument } from "./vm-show.ts";

type StartOptions = { readonly wait?: boolean; readonly timeout: number; readonly json?: boolean };
type CreateOptions = StartOptions &
  Pick<VmConfig, "image" | "cpus" | "cpu" | "ram" | "machine" | "network"> & {
    readonly memory: string;
    readonly packets?: number;
    readonly accel: VmConfig["accelerator"];
    readonly start?: boolean;
  };

/** `kvmsec vm create`. */
export function defineCreate(command: Command, io: CommandIo): void {
  const create = command
    .command("create")
    .description("makes a VM on a golden image")
    .argument("<name>", "the VM's name")
    .requiredOption("--image <name>", "the golden image that it stands on")
    .option("--memory <size>", "of the guest", "1G")
    .addOption(new Option("--cpus <number>", "of the guest").argParser(number).default(1))
    .option("--cpu <model>", "what QEMU's -cpu takes", "max")
    .addOption(
      new Option("--ram <kind>", "what backs its memory").choices(ramKinds).default("memfd"),
    )
    .addOption(
      new Option("--machine <kind>", "what QEMU's -machine takes")
        .choices(machineKinds)
        .default("q35"),
    )
    .addOption(
      new Option(
        "--network <kind>",
        "user: out through the host, where the guest also reaches the host's own services; none",
      )
        .choices(networkKinds)
        .default("user"),
    )
    .addOption(
      new Option("--accel <name>", "auto: KVM where it works, else TCG")
        .choices(acceleratorWishes)
        .default("auto"),
    )
    .option("--packets <size>", "keep the last so much of its packets", parseSize)
    .option("--start", "and start it");
  waitOptions(create).action((name: string, options: CreateOptions) =>
    createAndStart(io, name, options),
  );
}

/** `kvmsec vm start`. */
export function defineStart(command: Command, io: CommandIo): void {
  const start = command
    .command("start")
    .description("starts a VM; it outlives this command")
    .argument("<name>", "the VM's name");
  waitOptions(start).action(async (name: string, options: StartOptions) => {
    using shown = stageProgress(io);
    await startAndTell(io, openHome(), name, options, shown);
  });
}

function waitOptions(command: Command): Command {
  return command
    .option("--wait", "until the guest offers a login on its console")
    .addOption(new Option("--timeout <seconds>", "for --wait").argParser(number).default(180))
    .option("--json", "one JSON document");
}

function number(text: string): number {
  const value = Number(text);
  if (text !== "" && value > 0) return value;
  throw new InvalidArgumentError("It has to be a number.");
}

async function createAndStart(io: CommandIo, name: string, options: CreateOptions): Promise<void> {
  const { image, cpus, cpu, ram, machine, network, accel, packets } = options;
  const home = openHome();
  using shown = stageProgress(io);
  const config = {
    image,
    cpus,
    cpu,
    ram,
    machine,
    network,
    accelerator: accel,
    memoryBytes: parseSize(options.memory),
    ...(packets === undefined ? {} : { packets: { keepBytes: packets } }),
  };
  await createVm(name, config, home);
  if (options.start === true || options.wait === true) {
    return await startAndTell(io, home, name, options, shown);
  }
  if (options.json === true) {
    await writeDocument(io, "kvmsec.vm/1", await vmDocument(openVm(name, home)));
  } else {
    await write(io.stdout, `${name} is made. Start it: kvmsec vm start ${name}\n`);
  }
}

async function startAndTell(
  io: CommandIo,
  home: Home,
  name: string,
  options: StartOptions,
  shown: StageProgress,
): Promise<void> {
  const began = performance.now();
  const run = await startVm(
    name,
    { onStage: shown.step, keepRemains: (config, paths) => keepEnd(home, config, paths) },
    home,
  );
  if (options.wait === true) {
    shown.step("booting");
    using link = await openConsole(openVm(name, home), home);
    await waitForLogin(link, name, options.timeout * 1000, shown.detail);
  }
  shown.done();
  const took = durationText(performance.now() - began);
  if (options.json === true) {
    return writeDocument(io, "kvmsec.vm/1", await vmDocument(openVm(name, home)));
  }
  const state = options.wait === true ? `is up after ${took}` : "runs";
  await write(
    io.stdout,
    `${name} ${state}, as pid ${run.pid} under ${run.accelerator.toUpperCase()} (${run.acceleratorReason}).\n` +
      `Its console: kvmsec vm console ${name}    Look inside: kvmsec ps ${name}\n`,
  );
}
