import type { Command } from "commander";
import { exitStatus } from "../../base/errors.ts";
import type { ExitStatus } from "../../base/errors.ts";
import { copyPieces } from "../../linux/file-copy.ts";
import type { FileCopy } from "../../linux/file-copy.ts";
import { PageCache } from "../../linux/page-cache.ts";
import { findCachedFile, pagecache } from "../../views/pagecache.ts";
import type { CachedFile, CacheSelection } from "../../views/pagecache.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { sizeText, write, writeDocument } from "../output.ts";
import { pidOption } from "../pid-option.ts";
import { intoFile } from "../sparse-file.ts";
import { printable } from "../text.ts";
import type { Column } from "../table.ts";
import { attachWith, defineView, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type ExtractOptions = ViewOptions & { readonly output: string; readonly force?: boolean };

const columns: readonly Column<CachedFile>[] = [
  { title: "FILESYSTEM", value: (row) => row.filesystem },
  { title: "DEVICE:INODE", value: (row) => `${row.device}:${row.inode}` },
  { title: "SIZE", value: (row) => row.size, align: "right" },
  { title: "CACHED", value: (row) => row.cachedPages, align: "right" },
  { title: "PAGES", value: (row) => row.totalPages, align: "right" },
  { title: "PATH", value: (row) => row.path ?? `(${row.type})`, shrink: 16 },
];

/** `kvmsec pagecache`: files as the guest holds them in memory. */
export const define: CommandModule["define"] = (command, io) => {
  const list = command
    .command("list")
    .description("the files of which the guest holds pages in memory")
    .addOption(pidOption())
    .option("--mount <mountpoint>", "only the filesystem mounted there")
    .option("--path <prefix>", "only files whose path begins so");
  defineView<CachedFile, ViewOptions & CacheSelection>(list, io, pagecache, () => columns);
  defineExtract(command.command("extract"), io);
};

function defineExtract(command: Command, io: CommandIo): void {
  targetArgument(command.description("copies a file out of the guest's memory"))
    .argument("<file>", "its path, or DEVICE:INODE as the list has them")
    .requiredOption("-o, --output <file>", "where to write it")
    .option("--force", "overwrite what is there")
    .option("--json", "one JSON document about what was copied")
    .action(async (target: string, name: string, options: ExtractOptions) => {
      using guest = await attachWith(target, options);
      const { kernel } = guest;
      const problems: string[] = [];
      const problem = (reason: string) => problems.push(reason);
      const file = findCachedFile(kernel, name, problem);
      const copy = extract(options, (write) =>
        copyPieces(new PageCache(kernel).pieces(file.address, kernel.budget(), problem), write),
      );
      guest.requireAlive();
      if (options.json === true) {
        await writeDocument(io, "kvmsec.pagecache-extract/1", {
          ...documentHead(guest),
          file: pagecache.json(file, kernel),
          output: options.output,
          ...copy,
          ...(problems.length === 0 ? {} : { incomplete: problems }),
        });
      } else {
        await write(io.stdout, `${describe(file, copy)}\n`);
        for (const line of [...problems, ...holeLines(copy)]) {
          io.stderr.write(`kvmsec: ${printable(line)}\n`);
        }
      }
      io.exit(status(copy, problems));
    });
}

function extract(
  options: ExtractOptions,
  copy: (write: (offset: number, bytes: Uint8Array) => void) => FileCopy,
): FileCopy {
  return intoFile(options, (file) => {
    const copied = copy((offset, bytes) => file.write(offset, bytes));
    file.end(copied.size);
    return copied;
  });
}

function describe(
  { path, device, inode }: CachedFile,
  { size, copied, complete }: FileCopy,
): string {
  const name = printable(path ?? `${device}:${inode}`);
  return complete
    ? `${name}: all ${size} bytes`
    : `${name}: ${copied} of ${size} bytes, the rest left as zeros`;
}

function holeLines({ holes }: FileCopy): string[] {
  const told = holes.filter(({ reason }) => reason !== "sparse");
  return told.map(
    ({ offset, length, reason }) => `${sizeText(length)} from byte ${offset} on: ${reason}`,
  );
}

function status({ complete, copied }: FileCopy, problems: readonly string[]): ExitStatus {
  if (complete && problems.length === 0) return exitStatus.clean;
  return copied === 0 ? exitStatus.unobservable : exitStatus.partial;
}
