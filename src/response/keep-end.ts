import { randomUUID } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, join } from "node:path";
import { CoreFile } from "../evidence/core-file.ts";
import { sealPackage } from "../evidence/manifest.ts";
import type { Home } from "../vm/home.ts";
import { requireDisk } from "../vm/host-room.ts";
import { ramLayout } from "../vm/ram-layout.ts";
import { abnormalEnd, settleEnd } from "../vm/vm-end.ts";
import type { VmConfig, VmPaths, VmRun } from "../vm/vm-state.ts";
import { PacketCopy } from "./packet-copy.ts";
import { copyFileSparse, copySparse } from "./sparse-copy.ts";

/** What is left of a guest, and where it was put. */
export type KeptEnd = {
  readonly folder: string;
  readonly id: string;
  /** What became of its memory. */
  readonly memory: string;
};

/** Log, settings and headers beside memory and disk. */
const SPARE_ROOM = 16 * 2 ** 20;

/**
 * Keeps what an abnormal end has left of a VM, before it is started again and all of it is
 * overwritten: RAM (through `ram`, a file that somebody holds open, else the RAM's own file), its
 * disk's changes, QEMU's log and core file. Undefined where it ended in order or was kept before.
 * The caller holds the VM's lock.
 */
export async function keepEnd(
  home: Home,
  config: VmConfig,
  paths: VmPaths,
  options: { readonly ram?: string | undefined; readonly evidence?: string | undefined } = {},
): Promise<KeptEnd | undefined> {
  const run = abnormalEnd(paths);
  if (run === undefined) return undefined;
  const id = randomUUID();
  const time = new Date().toISOString().replaceAll(/[:.]/g, "-");
  const folder = join(
    options.evidence ?? join(home.root, "evidence"),
    `${config.name}-ended-${time}`,
  );
  const partial = `${folder}.partial-${id}`;
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  try {
    const memory = keepMemory(config, run, partial, options.ram);
    keepFiles(paths, run, partial);
    using packets = new PacketCopy();
    packets.open(paths);
    const packetFiles = packets.copyTo(partial);
    const { pid, startedAt } = run;
    await sealPackage(home, partial, id, {
      target: config.name,
      kind: "end",
      verdict: "unknown",
      method: "after its end",
      pauseMs: 0,
      pid,
      startedAt,
      memory,
      packets: packetFiles,
      image: config.image,
    });
    renameSync(partial, folder);
    settleEnd(paths);
    return { folder, id, memory };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** The RAM as an ELF core that the views read; or why there is none. */
function keepMemory(
  config: VmConfig,
  run: VmRun,
  folder: string,
  held: string | undefined,
): string {
  const source = held ?? run.ramPath;
  if (source === undefined || !existsSync(source)) return `its RAM (${config.ram}) went with QEMU`;
  const from = openSync(source, "r");
  try {
    const { size } = fstatSync(from);
    if (size < config.memoryBytes) return "its RAM file was cut short";
    requireDisk(folder, config.memoryBytes + SPARE_ROOM, "keeping what is left of the guest");
    using core = new CoreFile(
      join(folder, "memory.elf"),
      ramLayout(config.machine, config.memoryBytes),
    );
    copySparse(from, core.fd, core.ramAt, config.memoryBytes);
    core.writeHead([]);
    return "memory.elf";
  } finally {
    closeSync(from);
  }
}

function keepFiles(paths: VmPaths, run: VmRun, folder: string): void {
  for (const path of [paths.log, paths.config, paths.run]) {
    if (existsSync(path)) copyFileSync(path, join(folder, basename(path)));
  }
  copyFileSparse(paths.disk, join(folder, basename(paths.disk)));
  for (const core of coreFiles(paths, run.pid)) copyFileSparse(core, join(folder, basename(core)));
}

/** Where core(5) and systemd-coredump(8) put them; QEMU's working folder is the VM's. */
function coreFiles({ folder }: VmPaths, pid: number): string[] {
  const systemd = "/var/lib/systemd/coredump";
  const found = existsSync(systemd)
    ? readdirSync(systemd).filter(
        (name) => name.startsWith("core.qemu") && name.includes(`.${pid}.`),
      )
    : [];
  return [
    ...["core", `core.${pid}`].map((name) => join(folder, name)).filter((path) => existsSync(path)),
    ...found.map((name) => join(systemd, name)),
  ];
}
