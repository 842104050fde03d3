import type { Command } from "commander";
import { exitStatus } from "../base/errors.ts";
import { kernelDocument } from "../views/info.ts";
import { readView } from "../views/view.ts";
import type { Reading, View } from "../views/view.ts";
import { attach } from "../vm/guest.ts";
import type { AttachOptions, Guest } from "../vm/guest.ts";
import type { CommandIo } from "./command.ts";
import { dumpOptions, dumpOptionsOf } from "./dump-options.ts";
import type { DumpFlags } from "./dump-options.ts";
import { onInterrupt, pause } from "./interrupt.ts";
import { renderTable, write, writeDocument, writeJsonLine } from "./output.ts";
import type { Column } from "./table.ts";
import { printable } from "./text.ts";
import { watch, watchOption } from "./watch.ts";

/** The columns that people see, which may depend on the options. */
export type Columns<Row, Options> = (options: Options) => readonly Column<Row>[];

export type ViewOptions = DumpFlags & {
  readonly json?: boolean;
  readonly watch?: number;
  readonly follow?: boolean;
  readonly types?: string;
  readonly symbols?: string;
  /** What follows the target, for a view whose command takes more arguments. */
  readonly words?: readonly string[];
};

/** Shows what comes, until stopped; returns how much could not be seen. */
export type Follow<Options> = (io: CommandIo, guest: Guest, options: Options) => Promise<number>;

/**
 * Gives a command the arguments that every view has, and its action. A variadic argument that is
 * added after this becomes the option `words`. With `follow` it has that option too.
 */
export function defineView<Row, Options extends ViewOptions>(
  command: Command,
  io: CommandIo,
  view: View<Row, Options>,
  columns: Columns<Row, Options>,
  follow?: Follow<Options>,
): void {
  targetArgument(command);
  if (follow !== undefined) {
    command.option("-f, --follow", "go on telling what comes, until stopped");
  }
  command
    .option("--json", "one JSON document, or one object a line with --watch")
    .addOption(watchOption())
    .action(async (target: string) => {
      const words = command.processedArgs[1] as readonly string[] | undefined;
      const options: Options = { ...command.opts<Options>(), ...(words && { words }) };
      using guest = await attachWith(target, options);
      const show = { view, columns, guest, options };
      const problems =
        options.follow === true && follow !== undefined
          ? await follow(io, guest, options)
          : options.watch === undefined
            ? await showOnce(io, show)
            : await showAgain(io, show, options.watch);
      io.exit(problems === 0 ? exitStatus.clean : exitStatus.partial);
    });
}

/** The TARGET argument and the options about how to read it. */
export function targetArgument(command: Command, optional = false): Command {
  return dumpOptions(command)
    .argument(
      optional ? "[target]" : "<target>",
      "a guest's name, pid:N, qmp:PATH, libvirt:DOMAIN, or file:DUMP",
    )
    .option("--types <file>", "type information for a kernel without BTF: BTF, vmlinux or ISF")
    .option(
      "--symbols <file>",
      "symbols for a kernel without KALLSYMS_ALL: vmlinux, System.map or ISF",
    );
}

/** Attaches to a target as the options of `targetArgument` say. */
export async function attachWith(target: string, options: ViewOptions): Promise<Guest> {
  const dump = dumpOptionsOf(options);
  return attach(target, { ...(dump && { dump }), ...(await givenFiles(options)) });
}

/** What the kernel does not tell of itself. */
async function givenFiles({
  types,
  symbols,
}: ViewOptions): Promise<Pick<AttachOptions, "types" | "symbols">> {
  const { loadTypeFile } = await import("../vm/type-file.ts");
  const { loadSymbolFile } = await import("../vm/symbol-file.ts");
  return {
    ...(types !== undefined && { types: await loadTypeFile(types) }),
    ...(symbols !== undefined && { symbols: await loadSymbolFile(symbols) }),
  };
}

/** The fields with which every JSON document about a guest begins. */
export function documentHead(guest: Guest): object {
  const { warnings } = guest.kernel;
  return {
    target: guest.target.text,
    kernel: kernelDocument(guest.kernel),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

type Show<Row, Options> = {
  readonly view: View<Row, Options>;
  readonly columns: Columns<Row, Options>;
  readonly guest: Guest;
  readonly options: Options;
};

async function showOnce<Row, Options extends ViewOptions>(
  io: CommandIo,
  { view, columns, guest, options }: Show<Row, Options>,
): Promise<number> {
  const reading = read(view, guest, options);
  const { rows, problems, nothing } = reading;
  if (options.json === true) {
    await writeDocument(io, view.schema, document(view, guest, reading));
  } else {
    const lines = renderTable(io, columns(options), rows);
    await write(io.stdout, `${lines.join("\n")}\n`);
    warn(io, [...guest.kernel.warnings, ...problems, ...(nothing === undefined ? [] : [nothing])]);
  }
  return problems.length;
}

async function showAgain<Row, Options extends ViewOptions>(
  io: CommandIo,
  { view, columns, guest, options }: Show<Row, Options>,
  intervalMs: number,
): Promise<number> {
  let last: readonly string[] = [];
  if (options.json === true) {
    using interruption = onInterrupt();
    while (!interruption.signal.aborted) {
      const reading = read(view, guest, options);
      last = reading.problems;
      const fields = document(view, guest, reading);
      await writeJsonLine(io, view.schema, { at: new Date(), ...fields });
      await pause(intervalMs, interruption.signal);
    }
    return last.length;
  }
  await watch(io, { intervalMs }, async () => {
    const { rows, problems } = read(view, guest, options);
    last = problems;
    const [title, ...body] = renderTable(io, columns(options), rows);
    const head = `${guest.target.text}  ${printable(guest.kernel.identity.release)}  ${new Date().toISOString()}  ${rows.length} ${view.list}`;
    return { head: [head, ...problems.map(printable), "", title], body };
  });
  return last.length;
}

function read<Row, Options>(
  view: View<Row, Options>,
  guest: Guest,
  options: Options,
): Reading<Row> {
  guest.requireAlive();
  guest.kernel.refresh();
  const reading = readView(view, guest.kernel, options);
  guest.requireAlive();
  return reading;
}

function document<Row, Options>(
  view: View<Row, Options>,
  guest: Guest,
  { rows, problems, nothing }: Reading<Row>,
): object {
  return {
    ...documentHead(guest),
    [view.list]: rows.map((row) => view.json(row, guest.kernel)),
    ...(problems.length === 0 ? {} : { incomplete: problems }),
    ...(nothing === undefined ? {} : { nothing }),
  };
}

function warn(io: CommandIo, lines: readonly string[]): void {
  for (const line of lines) io.stderr.write(`kvmsec: ${printable(line)}\n`);
}
