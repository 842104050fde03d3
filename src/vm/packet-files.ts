import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { KvmsecError, usageError } from "../base/errors.ts";
import { readDocument, writeDocumentFile } from "./home.ts";
import { cutPackets } from "./packet-cut.ts";
import { isRunning, processShape } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import type { VmConfig, VmPaths } from "./vm-state.ts";

/** QEMU's name for what a VM's card is plugged into. */
export const NETDEV = "net";
export const MIN_KEEP = 2 ** 20;
export const DEFAULT_KEEP = 64 * 2 ** 20;
/** The last file of so many is written to: at least this part less one is always there. */
const FILES = 8;

/** A file of a VM's packets. */
export type PacketFile = { readonly path: string; readonly number: number; readonly bytes: number };

/** What packets.json says: that a run of a VM has its packets kept. */
export type PacketState = {
  readonly schema: "kvmsec.vm-packets/1";
  /** The last bytes that are kept, over all files. */
  readonly keepBytes: number;
  /** `owner`: the VM is set so; `guard`: the guard's configuration wants it. */
  readonly by: "owner" | "guard";
  /** The QEMU that writes them. */
  readonly run: ProcessIdentity;
};

const packetStateKind: DocumentKind<PacketState> = documentKind("kvmsec.vm-packets/1", {
  keepBytes: z.int().positive(),
  by: z.enum(["owner", "guard"]),
  run: processShape,
});

/** The files of a VM's packets, the oldest first, those of earlier runs too. */
export function packetFiles({ packets }: VmPaths): PacketFile[] {
  return namesIn(packets)
    .flatMap((name) => {
      const number = Number(/^(\d{6,12})\.pcap$/.exec(name)?.[1]);
      const path = join(packets, name);
      const bytes = statSync(path, { throwIfNoEntry: false })?.size;
      return Number.isNaN(number) || bytes === undefined ? [] : [{ path, number, bytes }];
    })
    .toSorted((a, b) => a.number - b.number);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Makes the next file, empty and its owner's alone: QEMU would make it by its own umask. */
export function newPacketFile(paths: VmPaths): PacketFile {
  mkdirSync(paths.packets, { recursive: true, mode: 0o700 });
  const number = (packetFiles(paths).at(-1)?.number ?? 0) + 1;
  const path = join(paths.packets, `${String(number).padStart(6, "0")}.pcap`);
  closeSync(openSync(path, "wx", 0o600));
  return { path, number, bytes: 0 };
}

/** The object by which QEMU writes a VM's packets into a file. */
export function packetObject({ path, number }: PacketFile) {
  return { "qom-type": "filter-dump", id: objectId(number), netdev: NETDEV, file: path } as const;
}

const PREFIX = "kvmsec-packets-";
const objectId = (number: number): string => `${PREFIX}${number}`;

/** Whether an object of QEMU's is one of these. */
export function isPacketObject(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** What is kept of the run that is named, or undefined where nothing is. */
export function packetState(
  paths: VmPaths,
  run: ProcessIdentity | undefined,
): PacketState | undefined {
  const state = readState(paths);
  if (state === undefined || run === undefined || !isRunning(state.run)) return undefined;
  return state.run.pid === run.pid && state.run.startTime === run.startTime ? state : undefined;
}

/** A damaged one is none: it is written anew when packets are switched on. */
function readState({ packetState: path }: VmPaths): PacketState | undefined {
  try {
    return readDocument(path, packetStateKind);
  } catch (error) {
    if (error instanceof KvmsecError) return undefined;
    throw error;
  }
}

export function writePacketState(paths: VmPaths, state: Omit<PacketState, "schema">): void {
  const { keepBytes, by } = state;
  const { pid, startTime, bootId } = state.run;
  const run = { pid, startTime, bootId };
  writeDocumentFile(paths.packetState, { schema: "kvmsec.vm-packets/1", keepBytes, by, run });
}

/** Whether the file that is written to is full. */
export function isFull({ bytes }: PacketFile, keepBytes: number): boolean {
  return bytes >= keepBytes / FILES;
}

/**
 * Makes room for another file within the bound, out of the oldest ones: they are deleted, and of one
 * that became large at a stroke the older part is. Never out of the newest, which is written to.
 */
export function dropOldest(paths: VmPaths, keepBytes: number): void {
  const files = packetFiles(paths);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let excess = total - (keepBytes - keepBytes / FILES);
  for (const { path, bytes } of files.slice(0, -1)) {
    if (excess <= 0) return;
    const part = bytes > excess && bytes > 2 * (keepBytes / FILES);
    if (part) cutPackets(path, bytes - excess);
    else rmSync(path, { force: true });
    excess -= bytes;
  }
}

/** Packets that a VM is to have kept from its QEMU's first moment on. */
export type PreparedPackets = {
  readonly file: PacketFile;
  /** To be called when the QEMU is there. */
  begin(run: ProcessIdentity): void;
};

/**
 * Makes ready what a VM's setting asks for; with `carryOn` also what the guard wanted of its former
 * run. Undefined where its packets are not kept.
 */
export function preparePackets(
  config: VmConfig,
  paths: VmPaths,
  carryOn: boolean,
): PreparedPackets | undefined {
  const former = readState(paths);
  rmSync(paths.packetState, { force: true });
  const guards = carryOn && former?.by === "guard" ? former.keepBytes : undefined;
  const keepBytes = config.packets?.keepBytes ?? guards;
  if (keepBytes === undefined || config.network === "none") return undefined;
  const by = config.packets === undefined ? "guard" : "owner";
  const file = newPacketFile(paths);
  return { file, begin: (run) => writePacketState(paths, { keepBytes, by, run }) };
}

/** Throws KVMSEC_PACKETS_NO_NETWORK, KVMSEC_PACKETS_KEEP. */
export function checkedPackets(network: VmConfig["network"], keepBytes: number): number {
  if (network === "none") {
    throw usageError(
      "KVMSEC_PACKETS_NO_NETWORK",
      "This VM has no network, so there are no packets to keep.",
    );
  }
  if (keepBytes >= MIN_KEEP) return Math.floor(keepBytes);
  throw usageError(
    "KVMSEC_PACKETS_KEEP",
    "At least the last MiB of packets is kept.",
    "--keep 64M",
  );
}

/** What is kept of a VM's packets. */
export type PacketSummary = {
  /** Whether a QEMU writes them now. */
  readonly on: boolean;
  /** Who wants it so; null where nobody does. */
  readonly by: PacketState["by"] | null;
  readonly keepBytes: number | null;
  readonly folder: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly bytes: number;
};

export function packetSummary(
  config: VmConfig,
  paths: VmPaths,
  run: ProcessIdentity | undefined,
): PacketSummary {
  const state = packetState(paths, run);
  const files = packetFiles(paths);
  return {
    on: state !== undefined,
    by: state?.by ?? (config.packets === undefined ? null : "owner"),
    keepBytes: state?.keepBytes ?? config.packets?.keepBytes ?? null,
    folder: paths.packets,
    files: files.map(({ path, bytes }) => ({ name: basename(path), bytes })),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
