import type { Command } from "commander";
import { changeStorage } from "../../response/storage-job.ts";
import type { StorageAction } from "../../response/storage-job.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo } from "../command.ts";
import { sizeText, write, writeDocument } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import { printable } from "../text.ts";

type Options = { readonly json?: boolean };

/** `evidence compress` and `expand`: in which form a package's large files lie there. */
export function defineStorage(command: Command, io: CommandIo): void {
  defineChange(
    command,
    io,
    "compress",
    "packs the large files of a package (zstd); what was signed stays signed, and every command reads it as before",
  );
  defineChange(
    command,
    io,
    "expand",
    "unpacks them again, for tools that cannot: the package is then byte for byte what was signed",
  );
}

function defineChange(
  command: Command,
  io: CommandIo,
  action: StorageAction,
  description: string,
): void {
  command
    .command(action)
    .description(description)
    .argument("<folder>", "the package")
    .option("--json", "one JSON document")
    .action((folder: string, options: Options) => change(io, folder, action, options));
}

async function change(
  io: CommandIo,
  folder: string,
  action: StorageAction,
  options: Options,
): Promise<void> {
  using shown = stageProgress(io);
  const done = await changeStorage(openHome(), folder, action, { onStage: shown.step });
  shown.done();
  if (options.json === true) {
    return writeDocument(io, `kvmsec.evidence-${action}/1`, { folder, ...done });
  }
  const { files, contentBytes, storedBytes } = done;
  const sizes = `${sizeText(contentBytes)}, packed ${sizeText(storedBytes)}`;
  const what = { compress: "compressed", expand: "unpacked" }[action];
  await write(
    io.stdout,
    files === 0
      ? `Nothing in ${printable(folder)} was to be ${what}.\n`
      : `${files} files of ${printable(folder)} are ${what}: ${sizes}.\n`,
  );
}
