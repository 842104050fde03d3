import type { Command } from "commander";
import { exitStatus } from "../../base/errors.ts";
import { fingerprint, ownPublicKey } from "../../evidence/signing-key.ts";
import { verifyPackage, readManifest } from "../../evidence/verify.ts";
import type { Fault, Verification } from "../../evidence/verify.ts";
import { readStorage } from "../../evidence/storage.ts";
import { revive } from "../../response/revive.ts";
import { homeAt, homePath, openHome } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { sizeText, write, writeDocument, writeTable } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import { printable } from "../text.ts";
import { defineKeeping } from "./evidence-keep.ts";
import { defineStorage } from "./evidence-storage.ts";
import { defineTimeline } from "./evidence-timeline.ts";

type ReviveOptions = {
  readonly name?: string;
  readonly frozen?: boolean;
  readonly json?: boolean;
};
type Options = { readonly json?: boolean; readonly key?: string };

/** `kvmsec evidence`: packages that `capture` made. */
export const define: CommandModule["define"] = (command, io) => {
  defineVerify(command, io);
  defineShow(command, io);
  defineTimeline(command, io);
  defineRevive(command, io);
  defineKeeping(command, io);
  defineStorage(command, io);
};

function defineVerify(command: Command, io: CommandIo): void {
  command
    .command("verify")
    .description("whether a package is as it was signed; needs nothing but the package")
    .argument("<folder>", "the package")
    .option("--key <fingerprint>", "the signer that is expected")
    .option("--json", "one JSON document")
    .action((folder: string, options: Options) => check(io, folder, options));
}

async function check(io: CommandIo, folder: string, options: Options): Promise<void> {
  const result = await verifyPackage(folder);
  const faults = [...result.faults, ...wrongSigner(result, options)];
  if (options.json === true) {
    const { id, files } = result.manifest;
    await writeDocument(io, "kvmsec.evidence-verify/1", {
      folder,
      id,
      intact: faults.length === 0,
      signer: result.signer ?? null,
      packer: result.packer ?? null,
      files: files.length,
      faults,
    });
  } else await write(io.stdout, describe(folder, result, faults));
  io.exit(faults.length === 0 ? exitStatus.clean : exitStatus.findings);
}

function wrongSigner({ signer }: Verification, { key }: Options): Fault[] {
  if (key === undefined || signer === key.toLowerCase()) return [];
  return [{ path: "manifest.json", fault: "unsigned" }];
}

function describe(folder: string, result: Verification, faults: readonly Fault[]): string {
  const { manifest, signer, packer } = result;
  const lines = faults.map(({ path, fault }) => `${printable(path)}: ${said[fault]}\n`).join("");
  if (faults.length > 0) return `${lines}${folder} is not as it was captured.\n`;
  return `${folder} is intact: ${manifest.files.length} files of ${printable(manifest.createdAt)}, signed by ${signer}${whose(signer)}.\n${packedBy(packer)}`;
}

const said: Readonly<Record<Fault["fault"], string>> = {
  changed: "was changed",
  missing: "is missing",
  added: "was added",
  unsigned: "is not signed by the expected key",
  chain: "does not follow the file before it in the manifest",
};

function packedBy(packer: string | undefined): string {
  return packer === undefined ? "" : `Compressed later by ${packer}${whose(packer)}.\n`;
}

/** A signature only says that nothing changed since; the key says who signed. */
function whose(signer: string | undefined): string {
  const own = ownPublicKey(homeAt(homePath(process.env)));
  return own !== undefined && fingerprint(own) === signer ? " (this home's key)" : "";
}

function defineShow(command: Command, io: CommandIo): void {
  command
    .command("show")
    .description("what a package holds (verify tells whether to believe it)")
    .argument("<folder>", "the package")
    .option("--json", "one JSON document")
    .action((folder: string, options: Options) => show(io, folder, options));
}

async function show(io: CommandIo, folder: string, options: Options): Promise<void> {
  const { manifest, text } = readManifest(folder);
  const storage = readStorage(folder, text);
  const packed = storage.kind === "packed" ? storage.files : [];
  if (options.json === true) {
    const { schema: _schema, ...rest } = manifest;
    return writeDocument(io, "kvmsec.evidence/1", { folder, ...rest, packed });
  }
  const { facts } = manifest;
  const rows: readonly (readonly [string, unknown])[] = [
    ["package", manifest.id],
    ["made", manifest.createdAt],
    ["target", facts["target"]],
    ["sweep", facts["verdict"]],
    ["method", `${String(facts["method"])}, pause ${Math.round(Number(facts["pauseMs"]))} ms`],
  ];
  for (const [name, value] of rows) {
    await write(io.stdout, `${name.padEnd(8)} ${printable(String(value))}\n`);
  }
  await write(io.stdout, "\n");
  const stored = new Map(packed.map(({ path, size }) => [path, size]));
  await writeTable(
    io,
    [
      { title: "FILE", value: (file) => file.path },
      { title: "SIZE", value: (file) => sizeText(file.size), align: "right" },
      { title: "PACKED", value: ({ path }) => packedSize(stored.get(path)), align: "right" },
      { title: "SHA-256", value: (file) => file.sha256, shrink: 16 },
    ],
    manifest.files,
  );
}

function packedSize(size: number | undefined): string | undefined {
  return size === undefined ? undefined : sizeText(size);
}

function defineRevive(command: Command, io: CommandIo): void {
  command
    .command("revive")
    .description("starts the captured guest again from that moment, on copies, without a network")
    .argument("<folder>", "the package")
    .option("--name <name>", "what the revived VM is called (default: made of the package's id)")
    .option("--frozen", "leave it standing still")
    .option("--json", "one JSON document")
    .action((folder: string, options: ReviveOptions) => wake(io, folder, options));
}

async function wake(io: CommandIo, folder: string, options: ReviveOptions): Promise<void> {
  const id = readManifest(folder).manifest.id.replaceAll(/[^0-9a-f]/g, "");
  const name = options.name ?? `revived-${id.slice(0, 8)}`;
  using shown = stageProgress(io);
  const { run } = await revive(openHome(), folder, name, {
    frozen: options.frozen === true,
    onStage: shown.step,
  });
  shown.done();
  if (options.json === true) {
    return writeDocument(io, "kvmsec.revive/1", { folder, name, pid: run.pid });
  }
  const state = options.frozen === true ? "stands still" : "runs";
  await write(
    io.stdout,
    `The captured guest ${state} again as ${name} (pid ${run.pid}), without a network.\n` +
      `Look inside: kvmsec ps ${name}    Remove it: kvmsec vm delete ${name} --force\n`,
  );
}
