import { inspectWith, filesOf } from "../daemon/inspect.ts";
import type { Inspection } from "../response/inspection.ts";
import { respond } from "../response/respond.ts";
import { readInfo } from "../views/info.ts";
import { ps } from "../views/ps.ts";
import type { ProcessRow } from "../views/ps.ts";
import { attach } from "../vm/guest.ts";
import type { Guest } from "../vm/guest.ts";
import { openHome } from "../vm/home.ts";
import type { CommandIo } from "./command.ts";
import { onInterrupt, pause } from "./interrupt.ts";
import { renderTable, sizeText, timeText, writeJsonLine } from "./output.ts";
import type { Column } from "./table.ts";
import { printable } from "./text.ts";
import { watch } from "./watch.ts";
import type { Frame } from "./watch.ts";

const INTERVAL_MS = 1000;

const columns: readonly Column<ProcessRow>[] = [
  { title: "PID", value: (row) => row.pid, align: "right" },
  { title: "UID", value: (row) => row.uid, align: "right" },
  { title: "S", value: (row) => row.state },
  { title: "STARTED", value: (row) => timeText(row.startTime) },
  { title: "COMMAND", value: (row) => row.commandLine?.text ?? `[${row.name}]`, shrink: 20 },
];

/** Sweeps the guest every second and shows what runs in it, until the user leaves. What a sweep finds freezes it. */
export async function guardDemo(io: CommandIo, name: string, json: boolean): Promise<void> {
  using guest = await attach(name);
  const guard = new Guard(guest);
  if (!json) return await watch(io, { intervalMs: INTERVAL_MS }, () => guard.frame(io));
  using interruption = onInterrupt();
  while (!interruption.signal.aborted) {
    const { verdict, reasons } = await guard.look();
    await writeJsonLine(io, "kvmsec.demo/1", { step: "guarded", at: new Date(), verdict, reasons });
    await pause(INTERVAL_MS, interruption.signal);
  }
}

class Guard {
  readonly #guest: Guest;
  readonly #files: ReturnType<typeof filesOf>;
  #sweeps = 0;
  #frozen = false;

  constructor(guest: Guest) {
    this.#guest = guest;
    this.#files = filesOf(guest);
  }

  async look(): Promise<Inspection> {
    const inspection = await inspectWith(this.#guest, this.#files);
    this.#sweeps++;
    if (inspection.verdict === "tampered" && !this.#frozen) {
      await respond(openHome(), this.#guest.target.text, "freeze");
      this.#frozen = true;
    }
    return inspection;
  }

  async frame(io: CommandIo): Promise<Frame> {
    const { verdict, reasons } = await this.look();
    const { kernel, target } = this.#guest;
    const info = readInfo(kernel);
    const rows = [...ps.read(kernel, {}, () => {})];
    const [title, ...body] = renderTable(io, columns, rows);
    const state = this.#frozen ? "frozen" : "running";
    return {
      head: [
        `${target.text}  Linux ${printable(info.release)}  ${sizeText(info.memory.size)}  ${state}  ${rows.length} processes`,
        `guarded, sweep ${this.#sweeps}: ${verdict}   (q leaves, and the guest is removed)`,
        ...reasons.map(printable),
        "",
        title,
      ],
      body,
    };
  }
}
