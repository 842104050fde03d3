import { createHash, sign, verify } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import { ownPublicKey, signingKey } from "../evidence/signing-key.ts";
import { dataExtents } from "../native/mmap.ts";
import type { AcceleratorName } from "../vm/accelerator.ts";
import { readDocument, writeDocumentFile } from "../vm/home.ts";
import type { Home } from "../vm/home.ts";
import { vmPaths } from "../vm/vm-state.ts";
import type { VmConfig } from "../vm/vm-state.ts";
import { writeSparse } from "./sparse-copy.ts";

/** What clean.json says of a saved clean state. */
export type CleanState = {
  readonly schema: "kvmsec.clean-state/1";
  readonly savedAt: string;
  /** The VM as it was made; another one could not take the state up. */
  readonly config: VmConfig;
  readonly accelerator: AcceleratorName;
  /** What the sweep said of the very moment that was saved. */
  readonly verdict: "clean";
  /** SHA-256 over the non-zero parts of each file, with their places. */
  readonly hashes: Readonly<Record<CleanFile, string>>;
  /** This home's signature over all of the above. */
  readonly signature: string;
};

export const cleanFiles = ["ram.img", "device-state.bin", "disk.qcow2"] as const;
export type CleanFile = (typeof cleanFiles)[number];

const CHUNK = 4 * 2 ** 20;

/** Where a VM's clean state lies. */
export function cleanFolder(home: Home, name: string): string {
  return join(vmPaths(home, name).folder, "clean");
}

/** The VM's clean state if it has one. Throws KVMSEC_CLEAN_STATE_UNVERIFIED where it is not what was signed. */
export function findCleanState(home: Home, config: VmConfig): CleanState | undefined {
  const path = join(cleanFolder(home, config.name), "clean.json");
  const state = readDocument<CleanState>(path, "kvmsec.clean-state/1");
  if (state === undefined) return undefined;
  const reason = unfit(home, state, config);
  if (reason === undefined) return state;
  throw unverified(config.name, reason);
}

function unfit(home: Home, state: CleanState, config: VmConfig): string | undefined {
  const key = ownPublicKey(home);
  const signature = Buffer.from(state.signature, "base64");
  if (key === undefined || !verify(null, signedPart(state), key, signature)) {
    return "it does not bear this home's signature";
  }
  if (state.verdict !== "clean") return "no sweep found it clean";
  const same = JSON.stringify(state.config) === JSON.stringify(config);
  return same ? undefined : "the VM was changed since";
}

/** Puts a finished folder of files in the place of the clean state, with its signed description. */
export function placeCleanState(
  home: Home,
  made: string,
  facts: Pick<CleanState, "config" | "accelerator" | "verdict">,
): CleanState {
  const hashes = Object.fromEntries(
    cleanFiles.map((name) => [name, copyHashed(join(made, name))]),
  ) as Record<CleanFile, string>;
  const content = {
    schema: "kvmsec.clean-state/1" as const,
    savedAt: new Date().toISOString(),
    ...facts,
    hashes,
  };
  const signature = sign(null, signedPart(content), signingKey(home)).toString("base64");
  const state = { ...content, signature };
  writeDocumentFile(join(made, "clean.json"), state);
  const place = cleanFolder(home, facts.config.name);
  const former = `${place}.former`;
  rmSync(former, { recursive: true, force: true });
  if (existsSync(place)) renameSync(place, former);
  renameSync(made, place);
  rmSync(former, { recursive: true, force: true });
  return state;
}

/** Makes the folder in which a clean state is put together. */
export function newCleanFolder(home: Home, name: string): string {
  const folder = `${cleanFolder(home, name)}.new`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/**
 * Copies a file of the clean state to where it is used, and proves that what was copied is what was
 * signed. The target is a path, or an open file of the right size that holds nothing yet.
 * Throws KVMSEC_CLEAN_STATE_UNVERIFIED.
 */
export function takeOut(
  home: Home,
  state: CleanState,
  file: CleanFile,
  target: string | number,
): void {
  const { name } = state.config;
  if (typeof target === "string") rmSync(target, { force: true });
  const hash = copyHashed(join(cleanFolder(home, name), file), target);
  if (hash === state.hashes[file]) return;
  if (typeof target === "string") rmSync(target, { force: true });
  throw unverified(name, `${file} was changed`);
}

/** Hashes a file by its non-zero parts, and copies them on the way where there is a target. */
function copyHashed(path: string, target?: string | number): string {
  const hash = createHash("sha256");
  const from = openSync(path, "r");
  const to = typeof target === "string" ? openSync(target, "wx", 0o600) : target;
  try {
    const { size } = fstatSync(from);
    if (typeof target === "string") ftruncateSync(to!, size);
    hash.update(`size ${size}\n`);
    const buffer = Buffer.alloc(CHUNK);
    for (const { start, end } of dataExtents(from, size)) {
      for (let at = start; at < end;) {
        const got = readSync(from, buffer, 0, Math.min(CHUNK, end - at), at);
        if (got === 0) break;
        hashPart(hash, buffer.subarray(0, got), at);
        if (to !== undefined) writeSparse(to, buffer.subarray(0, got), at);
        at += got;
      }
    }
    return hash.digest("hex");
  } finally {
    closeSync(from);
    if (typeof target === "string") closeSync(to!);
  }
}

const PAGE = 4096;
const zeros = Buffer.alloc(PAGE);

/** Runs of non-zero pages, each with its place: holes and zeros are the same file. */
function hashPart(hash: ReturnType<typeof createHash>, bytes: Buffer, at: number): void {
  for (let from = 0; from < bytes.length; from += PAGE) {
    const page = bytes.subarray(from, from + PAGE);
    if (page.equals(zeros.subarray(0, page.length))) continue;
    hash.update(`at ${at + from}\n`).update(page);
  }
}

function signedPart({
  ...content
}: Omit<CleanState, "signature"> & { signature?: string }): Buffer {
  delete content.signature;
  return Buffer.from(JSON.stringify(content));
}

function unverified(name: string, reason: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_CLEAN_STATE_UNVERIFIED",
    `The clean state of ${name} cannot be trusted: ${reason}.`,
    {
      hint: `Restore it from its golden image (kvmsec respond ${name} restore --cold) and save a new clean state.`,
    },
  );
}
