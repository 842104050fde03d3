import type { Command } from "commander";
import { KvmsecError, exitStatus } from "../../base/errors.ts";
import { GuestVolumes } from "../../files/guest-volumes.ts";
import { directoryOf } from "../../files/disk-tree.ts";
import type { DirectoryEntry, FoundFile } from "../../files/disk-tree.ts";
import type { DiskInode } from "../../formats/disk/file-system.ts";
import type { Volume } from "../../files/volumes.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { diskOption } from "../file-options.ts";
import { sizeText, write, writeDocument, writeTable } from "../output.ts";
import { printable } from "../text.ts";
import { intoFile } from "../sparse-file.ts";
import { attachWith, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & { readonly disk?: readonly string[] };
type ExtractOptions = Options & { readonly output: string; readonly force?: boolean };
type Problem = (reason: string) => void;

/** `kvmsec disk`: files as they lie on the disks of a guest, read beside it while it runs. */
export const define: CommandModule["define"] = (command, io) => {
  defineList(command.command("list").description("the volumes on its disks"), io);
  defineLs(command.command("ls").description("what a folder holds"), io);
  defineCat(command.command("cat").description("writes a file to standard output"), io);
  defineExtract(command.command("extract").description("copies a file"), io);
};

function diskArguments(command: Command): Command {
  return diskOption(targetArgument(command));
}

function pathArgument(command: Command): Command {
  return diskArguments(command).argument(
    "<path>",
    "in the guest, or VOLUME:PATH as the list has them",
  );
}

function defineList(command: Command, io: CommandIo): void {
  diskArguments(command)
    .option("--json", "one JSON document")
    .action(async (target: string, options: Options) => {
      using guest = await attachWith(target, options);
      using found = new GuestVolumes(guest, options.disk ?? []);
      const rows = found.volumes.map((volume) => volumeRow(volume, found.mounted));
      const problems = found.problems;
      if (rows.length === 0) throw noVolume(target, problems);
      if (options.json === true) {
        await writeDocument(io, "kvmsec.disk-list/1", {
          ...documentHead(guest),
          volumes: rows,
          ...(problems.length === 0 ? {} : { incomplete: problems }),
        });
      } else {
        await writeTable(io, volumeColumns, rows);
        for (const problem of problems) io.stderr.write(`kvmsec: ${printable(problem)}\n`);
      }
      const isWhole = problems.length === 0 && rows.every(({ unreadable }) => unreadable === null);
      io.exit(isWhole ? exitStatus.clean : exitStatus.partial);
    });
}

function noVolume(target: string, problems: readonly string[]): KvmsecError {
  const why = problems.length === 0 ? "" : `: ${problems.join("; ")}`;
  return new KvmsecError("KVMSEC_NO_VOLUME", `No volume of ${target} was found${why}.`, {
    hint: "Give an image of its disk with --disk.",
  });
}

type VolumeRow = ReturnType<typeof volumeRow>;

function volumeRow(volume: Volume, mounted: GuestVolumes["mounted"]) {
  const { id, name, size, kind, fileSystem, unreadable } = volume;
  const places = [...mounted].filter(([, one]) => one === fileSystem);
  return {
    id,
    name,
    size,
    kind: kind ?? null,
    uuid: fileSystem?.uuid ?? null,
    label: fileSystem?.label ?? null,
    mountedAt: places.map(([path]) => (path === "" ? "/" : path)),
    unreadable: unreadable ?? null,
  };
}

const volumeColumns = [
  { title: "VOLUME", value: (row: VolumeRow) => row.id },
  { title: "SIZE", value: (row: VolumeRow) => sizeText(row.size), align: "right" },
  { title: "KIND", value: (row: VolumeRow) => row.kind ?? "?" },
  { title: "LABEL", value: (row: VolumeRow) => row.label ?? "" },
  { title: "MOUNTED", value: (row: VolumeRow) => row.mountedAt.join(" ") },
  { title: "NAME", value: (row: VolumeRow) => row.name, shrink: 20 },
  { title: "NOT READ BECAUSE", value: (row: VolumeRow) => row.unreadable ?? "", shrink: 12 },
] as const;

function defineLs(command: Command, io: CommandIo): void {
  pathArgument(command)
    .option("--json", "one JSON document")
    .action(async (target: string, path: string, options: Options) => {
      await withFile(io, target, path, options, async (found, guestHead, problem) => {
        const rows = entriesOf(path, found, problem).map((entry) => fileRow(entry, found));
        if (options.json === true) {
          await writeDocument(io, "kvmsec.disk-ls/1", { ...guestHead, path, files: rows });
        } else {
          await writeTable(io, fileColumns, rows);
        }
      });
    });
}

/** A folder's content; of anything else just that. */
function entriesOf(path: string, found: FoundFile, problem: Problem): DirectoryEntry[] {
  if (found.inode.type === "directory") return directoryOf(found, problem);
  return [{ name: path, inode: found.inode }];
}

type FileRow = ReturnType<typeof fileRow>;

function fileRow({ name, inode }: DirectoryEntry, { fileSystem }: FoundFile) {
  return {
    name,
    inode: inode?.number ?? null,
    mode: inode === undefined ? null : inode.mode.toString(8),
    uid: inode?.uid ?? null,
    gid: inode?.gid ?? null,
    links: inode?.links ?? null,
    size: inode?.size ?? null,
    modified: inode === undefined ? null : timeText(inode),
    linkTo: inode === undefined ? null : (fileSystem.link(inode) ?? null),
  };
}

/** ISO 8601; a forged inode may have a time beyond what that can say. */
function timeText({ modified }: DiskInode): string | null {
  return Math.abs(modified) <= 8.64e15 ? new Date(modified).toISOString() : null;
}

const fileColumns = [
  { title: "MODE", value: (row: FileRow) => row.mode ?? "?", align: "right" },
  { title: "UID", value: (row: FileRow) => row.uid ?? "?", align: "right" },
  { title: "GID", value: (row: FileRow) => row.gid ?? "?", align: "right" },
  { title: "SIZE", value: (row: FileRow) => row.size ?? "?", align: "right" },
  { title: "MODIFIED", value: (row: FileRow) => row.modified ?? "?" },
  {
    title: "NAME",
    value: ({ name, linkTo }: FileRow) => (linkTo === null ? name : `${name} -> ${linkTo}`),
    shrink: 16,
  },
] as const;

function defineCat(command: Command, io: CommandIo): void {
  pathArgument(command).action(async (target: string, path: string, options: Options) => {
    await withFile(io, target, path, options, async (found, _head, problem) => {
      mustBeFile(path, found);
      for (const { bytes, length } of found.fileSystem.pieces(found.inode, problem)) {
        for (const part of typeof bytes === "string" ? zeros(length) : [bytes]) {
          await writeBytes(io, part);
        }
      }
    });
  });
}

function defineExtract(command: Command, io: CommandIo): void {
  pathArgument(command)
    .requiredOption("-o, --output <file>", "where to write it")
    .option("--force", "overwrite what is there")
    .action(async (target: string, path: string, options: ExtractOptions) => {
      await withFile(io, target, path, options, async (found, _head, problem) => {
        mustBeFile(path, found);
        writeOut(found, options, problem);
        await write(io.stdout, `${path}: ${found.inode.size} bytes\n`);
      });
    });
}

function writeOut(
  { fileSystem, inode }: FoundFile,
  options: ExtractOptions,
  problem: Problem,
): void {
  intoFile(options, (file) => {
    for (const { offset, bytes } of fileSystem.pieces(inode, problem)) {
      if (typeof bytes !== "string") file.write(offset, bytes);
    }
    file.end(inode.size);
  });
}

/** Finds the file, lets it be used, tells what could not be read, and leaves with what that comes to. */
async function withFile(
  io: CommandIo,
  target: string,
  path: string,
  options: Options,
  use: (found: FoundFile, head: object, problem: Problem) => Promise<void>,
): Promise<void> {
  using guest = await attachWith(target, options);
  using volumes = new GuestVolumes(guest, options.disk ?? []);
  const problems: string[] = [];
  await use(volumes.find(path), documentHead(guest), (reason) => problems.push(reason));
  for (const problem of problems) io.stderr.write(`kvmsec: ${path}: ${printable(problem)}\n`);
  io.exit(problems.length === 0 ? exitStatus.clean : exitStatus.partial);
}

function mustBeFile(path: string, { inode }: FoundFile): void {
  if (inode.type === "file") return;
  throw new KvmsecError("KVMSEC_NO_FILE", `${path} is no file.`, { exit: exitStatus.usage });
}

const ZEROS = new Uint8Array(65_536);

function* zeros(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
}

function writeBytes({ stdout }: CommandIo, bytes: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stdout.write(bytes)) resolve();
  else stdout.once("drain", resolve);
  return promise;
}
