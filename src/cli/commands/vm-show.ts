import type { Command } from "commander";
import { diskUsage, listVms, openVm, vmState } from "../../vm/guest-vm.ts";
import type { GuestVm, VmState } from "../../vm/guest-vm.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo } from "../command.ts";
import { packetText } from "./packets.ts";
import { sizeText, write, writeDocument, writeTable } from "../output.ts";
import type { Column } from "../table.ts";
import { tellDamage } from "../tell-error.ts";

type JsonOption = { readonly json?: boolean };
type Row = { readonly vm: GuestVm; readonly state: VmState };

/** `kvmsec vm list`. */
export function defineList(command: Command, io: CommandIo): void {
  command
    .command("list")
    .description("all VMs, and how they are")
    .option("--json", "one JSON document")
    .action((options: JsonOption) => list(io, options));
}

const columns: readonly Column<Row>[] = [
  { title: "NAME", value: ({ vm }) => vm.name, shrink: 12 },
  {
    title: "STATE",
    value: ({ state }) => state,
    paint: (text, { state }, colours) => paintState(state, text, colours),
  },
  { title: "PID", value: ({ vm }) => vm.run?.pid, align: "right" },
  { title: "ACCEL", value: ({ vm }) => vm.run?.accelerator },
  { title: "MEMORY", value: ({ vm }) => sizeText(vm.config.memoryBytes), align: "right" },
  { title: "CPUS", value: ({ vm }) => vm.config.cpus, align: "right" },
  { title: "RAM", value: ({ vm }) => vm.config.ram },
  { title: "MACHINE", value: ({ vm }) => vm.config.machine },
  { title: "NETWORK", value: ({ vm }) => vm.config.network },
  { title: "DISK", value: ({ vm }) => sizeText(diskUsage(vm)), align: "right" },
  { title: "IMAGE", value: ({ vm }) => vm.config.image, shrink: 12 },
];

function paintState(
  state: VmState,
  text: string,
  colours: Parameters<NonNullable<Column<Row>["paint"]>>[2],
): string {
  if (state === "running") return colours.green(text);
  return state === "stopped" ? colours.dim(text) : colours.yellow(text);
}

async function list(io: CommandIo, options: JsonOption): Promise<void> {
  const vms = listVms(openHome(), tellDamage(io));
  if (options.json === true) {
    const documents = await Promise.all(vms.map((vm) => vmDocument(vm)));
    await writeDocument(io, "kvmsec.vms/1", { vms: documents });
  } else if (vms.length === 0) {
    await write(io.stdout, "There is no VM yet. Make one: kvmsec vm create NAME --image IMAGE\n");
  } else {
    const rows = await Promise.all(vms.map(async (vm) => ({ vm, state: await vmState(vm) })));
    await writeTable(io, columns, rows);
  }
}

/** `kvmsec vm show`. */
export function defineShow(command: Command, io: CommandIo): void {
  command
    .command("show")
    .description("all about one VM: its process, its sockets, its files")
    .argument("<name>", "the VM's name")
    .option("--json", "one JSON document")
    .action((name: string, options: JsonOption) => show(io, name, options));
}

async function show(io: CommandIo, name: string, options: JsonOption): Promise<void> {
  const vm = openVm(name);
  const document = await vmDocument(vm);
  if (options.json === true) return writeDocument(io, "kvmsec.vm/1", document);
  const { config, run, sockets, ram } = vm;
  const lines: (readonly [string, string])[] = [
    ["name", vm.name],
    ["state", document.state],
    ["uuid", config.uuid],
    ["image", config.image],
    ["memory", `${sizeText(ram.size)} (${ram.kind})`],
    ["cpus", `${config.cpus} (${config.cpu})`],
    ["machine", config.machine],
    ["network", config.network],
    ["packets", packetText(vm.packets)],
    ["disk", `${vm.disk} (${sizeText(document.disk.bytes)} of its own)`],
    ["made", config.createdAt],
  ];
  if (run !== undefined) {
    lines.push(
      ["pid", String(run.pid)],
      ["started", run.startedAt],
      ["accelerator", `${run.accelerator} (${run.acceleratorReason})`],
      ["monitor", sockets.monitor],
      ["operator", sockets.operator],
      ["console", sockets.console],
    );
  }
  lines.push(["log", vm.log], ["login", "root, without a password, on the serial console only"]);
  const width = Math.max(...lines.map(([title]) => title.length));
  await write(
    io.stdout,
    lines.map(([title, value]) => `${title.padEnd(width)}  ${value}\n`).join(""),
  );
}

/** A VM as `--json` shows it (kvmsec.vm/1). */
export async function vmDocument(vm: GuestVm) {
  const { config, run, sockets, ram } = vm;
  return {
    name: vm.name,
    state: await vmState(vm),
    uuid: config.uuid,
    image: config.image,
    createdAt: config.createdAt,
    memory: config.memoryBytes,
    cpus: config.cpus,
    cpu: config.cpu,
    machine: config.machine,
    network: config.network,
    packets: vm.packets,
    ram: { kind: ram.kind, size: ram.size, path: ram.path ?? null },
    disk: { path: vm.disk, bytes: diskUsage(vm) },
    log: vm.log,
    pid: run?.pid ?? null,
    startTime: run?.startTime ?? null,
    startedAt: run?.startedAt ?? null,
    accelerator: run?.accelerator ?? null,
    acceleratorReason: run?.acceleratorReason ?? null,
    qmp: run === undefined ? null : { monitor: sockets.monitor, operator: sockets.operator },
    console: run === undefined ? null : sockets.console,
  };
}
