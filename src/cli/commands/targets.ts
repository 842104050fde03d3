import { exitStatus } from "../../base/errors.ts";
import { listQemuProcesses } from "../../vm/qemu-process.ts";
import type { QemuProcess } from "../../vm/qemu-process.ts";
import { watchability } from "../../vm/watchability.ts";
import type { Watchability } from "../../vm/watchability.ts";
import type { CommandModule } from "../command.ts";
import { sizeText, write, writeDocument, writeTable } from "../output.ts";
import type { Column } from "../table.ts";

type Row = QemuProcess & Watchability;

const columns: readonly Column<Row>[] = [
  { title: "NAME", value: (row) => row.arguments.name, shrink: 12 },
  { title: "PID", value: (row) => row.pid, align: "right" },
  { title: "UID", value: (row) => row.uid, align: "right" },
  { title: "MEMORY", value: (row) => sizeText(row.arguments.memory), align: "right" },
  { title: "MACHINE", value: (row) => row.arguments.machine },
  { title: "ACCEL", value: (row) => row.arguments.accelerator },
  { title: "RAM", value: (row) => row.ram },
  { title: "READING", value: (row) => row.reading },
  { title: "QMP", value: (row) => row.arguments.qmpSockets[0], shrink: 10 },
  { title: "NOTE", value: (row) => row.reason, shrink: 20 },
];

/** `kvmsec targets`: every QEMU on this host, and how well it can be watched. */
export const define: CommandModule["define"] = (command, io) => {
  command.option("--json", "one JSON document").action(async (options: { json?: boolean }) => {
    const rows = listQemuProcesses().map((qemu) => ({ ...qemu, ...watchability(qemu) }));
    if (options.json === true) {
      await writeDocument(io, "kvmsec.targets/1", { targets: rows.map(json) });
    } else if (rows.length === 0) {
      await write(io.stdout, "No QEMU runs on this host.\n");
    } else {
      await writeTable(io, columns, rows);
    }
    io.exit(exitStatus.clean);
  });
};

function json({ arguments: args, ...row }: Row): object {
  return {
    name: args.name ?? null,
    pid: row.pid,
    uid: row.uid,
    memory: args.memory,
    machine: args.machine,
    accelerator: args.accelerator,
    ram: row.ram ?? null,
    reading: row.reading,
    reason: row.reason ?? null,
    qmp: args.qmpSockets,
  };
}
