import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
} from "node:fs";
import { renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheDirectory } from "./cache.ts";
import { command } from "./command.ts";
import { fileTypes, type CpioEntry } from "./cpio.ts";
import { addDirectories } from "./host-tools.ts";
import type { Kernel } from "./debian-kernel.ts";
import type { GuestOptions } from "./guest.ts";
import { hardwareModules } from "./qemu-arguments.ts";

export type ModuleSet = {
  readonly entries: readonly CpioEntry[];
  /** Paths in the guest, in the order in which they have to be inserted. */
  readonly load: readonly string[];
  /** The folder on the host that holds the same files. */
  readonly folder: string;
};

/**
 * These modules of a kernel with all that they depend on, uncompressed, with an index of their own
 * so that the guest's modprobe finds them. `available` are only laid down, not loaded.
 */
export async function moduleSet(
  kernel: Kernel,
  wanted: readonly string[],
  available: readonly string[],
): Promise<ModuleSet> {
  const load = await insertionOrder(kernel, wanted);
  const files = [...new Set([...load, ...(await insertionOrder(kernel, available))])];
  const staged = await stage(kernel, files);
  const folder = `usr/lib/modules/${kernel.version}`;
  const entries: CpioEntry[] = [];
  addDirectories([folder], (entry) => entries.push(entry));
  for (const name of readdirSync(staged)) {
    const data = readFileSync(join(staged, name));
    entries.push({ path: `${folder}/${name}`, mode: fileTypes.file | 0o644, data });
  }
  return { entries, load: load.map((file) => `/${folder}/${plainName(file)}`), folder: staged };
}

/** The folder on the host with the files of the modules that a guest was booted with. */
export async function moduleFolder(options: GuestOptions): Promise<string> {
  const wanted = [...hardwareModules(options), ...(options.modules ?? [])];
  return (await moduleSet(options.kernel, wanted, options.availableModules ?? [])).folder;
}

/** Asks modprobe, which knows soft dependencies too; what is built in needs no file. */
async function insertionOrder(kernel: Kernel, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const from = ["-d", kernel.root, "-S", kernel.version, "-C", "/dev/null"];
  const shown = await command("modprobe", [...from, "-a", "--show-depends", ...names]);
  return [...new Set([...shown.matchAll(/^insmod (\S+)/gm)].map(([, path]) => path))];
}

function plainName(file: string): string {
  return basename(file).replace(/\.(xz|zst|gz)$/, "");
}

/** A cached folder that holds these modules uncompressed beside a fresh modules.dep. */
async function stage(kernel: Kernel, files: readonly string[]): Promise<string> {
  const key = createHash("sha256")
    .update([kernel.vmlinuz, ...files].join("\n"))
    .digest("hex");
  const home = cacheDirectory("modules", kernel.version);
  const done = join(home, key.slice(0, 16));
  const inside = `lib/modules/${kernel.version}`;
  if (existsSync(done)) return join(done, inside);
  const fresh = mkdtempSync(join(home, "fresh-"));
  const folder = join(fresh, inside);
  mkdirSync(folder, { recursive: true });
  for (const file of files) await unpack(file, join(folder, plainName(file)));
  for (const list of ["modules.builtin", "modules.order", "modules.builtin.modinfo"]) {
    if (existsSync(join(kernel.modules, list))) {
      copyFileSync(join(kernel.modules, list), join(folder, list));
    }
  }
  await command("depmod", ["-b", fresh, kernel.version]);
  try {
    renameSync(fresh, done);
  } catch {
    // Another process was as quick, with the same content.
    rmSync(fresh, { recursive: true });
  }
  return join(done, inside);
}

async function unpack(from: string, to: string): Promise<void> {
  const tool = { xz: "xz", zst: "zstd", gz: "gzip" }[from.split(".").at(-1) ?? ""];
  if (tool === undefined) return copyFileSync(from, to);
  await command("sh", ["-c", '"$0" -dc "$1" > "$2"', tool, from, to]);
}
