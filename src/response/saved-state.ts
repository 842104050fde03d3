import { sign, verify } from "node:crypto";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { syncPath } from "../base/durable.ts";
import { KvmsecError } from "../base/errors.ts";
import { ownPublicKey, signingKey } from "../evidence/signing-key.ts";
import { acceleratorNames } from "../vm/accelerator.ts";
import type { AcceleratorName } from "../vm/accelerator.ts";
import { readDocument, writeDocumentFile } from "../vm/home.ts";
import type { Home } from "../vm/home.ts";
import { checkedName, nameShape } from "../vm/name.ts";
import { vmConfigKind, vmPaths } from "../vm/vm-state.ts";
import type { VmConfig } from "../vm/vm-state.ts";
import { copyHashed } from "./tree-hash.ts";

/** What state.json says of a saved state of a VM: its RAM, devices and disk of one moment. */
export type SavedState = {
  readonly schema: "kvmsec.saved-state/1";
  readonly name: string;
  /** A clean state was swept while it was saved; a snapshot is whatever the guest was. */
  readonly kind: "clean" | "snapshot";
  readonly savedAt: string;
  /** The VM as it was made; another one could not take the state up. */
  readonly config: VmConfig;
  readonly accelerator: AcceleratorName;
  /** QEMU's full name of the machine, which a newer QEMU gives to another one unless told. */
  readonly machineType: string;
  /** Whether the guest ran when it was saved. */
  readonly running: boolean;
  /** SHA-256 over the non-zero parts of each file, with their places. */
  readonly hashes: Readonly<Record<StateFile, string>>;
  /** This home's signature over all of the above. */
  readonly signature: string;
};

export type StateFacts = Omit<SavedState, "schema" | "savedAt" | "hashes" | "signature">;

export const stateFiles = ["ram.img", "device-state.bin", "disk.qcow2"] as const;
export type StateFile = (typeof stateFiles)[number];

const savedStateKind: DocumentKind<SavedState> = documentKind("kvmsec.saved-state/1", {
  name: nameShape,
  kind: z.enum(["clean", "snapshot"]),
  savedAt: z.string(),
  config: vmConfigKind.shape,
  accelerator: z.enum(acceleratorNames),
  machineType: z.string(),
  running: z.boolean(),
  hashes: z.record(z.enum(stateFiles), z.string()),
  signature: z.string(),
});

/** The clean state that is meant where none is named. */
export const DEFAULT_CLEAN = "clean";

/** Where one of a VM's saved states lies. */
export function stateFolder(home: Home, vm: string, state: string): string {
  return join(vmPaths(home, vm).folder, "states", checkedName(state));
}

/** Names of a VM's saved states. */
export function stateNames(home: Home, vm: string): string[] {
  const folder = join(vmPaths(home, vm).folder, "states");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .toSorted();
}

/**
 * That saved state of the VM, or undefined where there is none of the name.
 * Throws KVMSEC_STATE_UNVERIFIED where it is not what was signed, or does not fit the VM, and
 * KVMSEC_STATE_DAMAGED where it is no such document.
 */
export function findState(home: Home, config: VmConfig, name: string): SavedState | undefined {
  const path = join(stateFolder(home, config.name, name), "state.json");
  const state = readDocument(path, savedStateKind);
  if (state === undefined) return undefined;
  const reason = unfit(home, state, config, name);
  if (reason === undefined) return state;
  throw unverified(config.name, name, reason);
}

/** The same; throws KVMSEC_STATE_MISSING. */
export function openState(home: Home, config: VmConfig, name: string): SavedState {
  const state = findState(home, config, name);
  if (state !== undefined) return state;
  const others = stateNames(home, config.name);
  throw new KvmsecError("KVMSEC_STATE_MISSING", `${config.name} has no saved state ${name}.`, {
    hint:
      others.length === 0
        ? `It has none at all: kvmsec respond ${config.name} save-clean`
        : `It has: ${others.join(", ")}.`,
  });
}

/** A clean state of that name, if there is one. Throws KVMSEC_STATE_UNVERIFIED for what no sweep found clean. */
export function findCleanState(home: Home, config: VmConfig, name: string): SavedState | undefined {
  const state = findState(home, config, name);
  if (state === undefined || state.kind === "clean") return state;
  throw unverified(config.name, name, "it is a snapshot, which no sweep found clean");
}

function unfit(home: Home, state: SavedState, config: VmConfig, name: string): string | undefined {
  const key = ownPublicKey(home);
  const signature = Buffer.from(state.signature, "base64");
  if (key === undefined || !verify(null, signedPart(state), key, signature)) {
    return "it does not bear this home's signature";
  }
  if (state.name !== name) return `it was saved as ${state.name}`;
  const same = JSON.stringify(state.config) === JSON.stringify(config);
  return same ? undefined : "the VM was changed since";
}

/** Makes the folder in which a state is put together. */
export function newStateFolder(home: Home, vm: string, name: string): string {
  const folder = partialFolder(home, vm, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Removes what a saving left that did not come to its end. */
export function removePartialState(home: Home, vm: string, name: string): void {
  rmSync(partialFolder(home, vm, name), { recursive: true, force: true });
}

function partialFolder(home: Home, vm: string, name: string): string {
  return join(vmPaths(home, vm).folder, "states", `.new-${checkedName(name)}`);
}

/** Signs a finished folder of files and puts it in its place, instead of an earlier one of the name. */
export async function placeState(home: Home, made: string, facts: StateFacts): Promise<SavedState> {
  const hashes: Partial<Record<StateFile, string>> = {};
  for (const name of stateFiles) {
    hashes[name] = await copyHashed(join(made, name));
    syncPath(join(made, name));
  }
  const content = {
    schema: "kvmsec.saved-state/1" as const,
    savedAt: new Date().toISOString(),
    ...facts,
    hashes: hashes as SavedState["hashes"],
  };
  const signature = sign(null, signedPart(content), signingKey(home)).toString("base64");
  const state = { ...content, signature };
  writeDocumentFile(join(made, "state.json"), state);
  const place = stateFolder(home, facts.config.name, facts.name);
  const former = retire(place);
  renameSync(made, place);
  rmSync(former, { recursive: true, force: true });
  return state;
}

/** Removes a saved state whole: it loses its name at one stroke, then its files go. */
export function removeState(home: Home, vm: string, name: string): void {
  rmSync(retire(stateFolder(home, vm, name)), { recursive: true, force: true });
}

/** Takes away the name of what lies at a place, if anything does; returns what it is called then. */
function retire(place: string): string {
  const doomed = join(dirname(place), `.deleted-${basename(place)}`);
  rmSync(doomed, { recursive: true, force: true });
  if (existsSync(place)) renameSync(place, doomed);
  return doomed;
}

/** Bytes that a saved state takes on the disk. */
export function stateUsage(home: Home, vm: string, name: string): number {
  const folder = stateFolder(home, vm, name);
  return stateFiles
    .map((file) => statSync(join(folder, file), { throwIfNoEntry: false })?.blocks ?? 0)
    .reduce((sum, blocks) => sum + blocks * 512, 0);
}

/**
 * Copies a file of a saved state to where it is used, and proves that what was copied is what was
 * signed. The target is a path, or an open file of the right size that holds nothing yet.
 * Throws KVMSEC_STATE_UNVERIFIED.
 */
export async function takeOut(
  home: Home,
  state: SavedState,
  file: StateFile,
  target: string | number,
): Promise<void> {
  const source = join(stateFolder(home, state.config.name, state.name), file);
  const fd = typeof target === "number" ? target : fileLike(source, target);
  try {
    if ((await copyHashed(source, fd)) === state.hashes[file]) return;
  } finally {
    if (typeof target === "string") closeSync(fd);
  }
  if (typeof target === "string") rmSync(target, { force: true });
  throw unverified(state.config.name, state.name, `${file} was changed`);
}

/** An empty file of the same size. */
function fileLike(source: string, target: string): number {
  rmSync(target, { force: true });
  const fd = openSync(target, "wx", 0o600);
  ftruncateSync(fd, statSync(source).size);
  return fd;
}

function signedPart({
  ...content
}: Omit<SavedState, "signature"> & { signature?: string }): Buffer {
  delete content.signature;
  return Buffer.from(JSON.stringify(content));
}

function unverified(vm: string, name: string, reason: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_STATE_UNVERIFIED",
    `The saved state ${name} of ${vm} cannot be trusted: ${reason}.`,
    {
      hint: `Restore it from its golden image (kvmsec respond ${vm} restore --cold) and save a new clean state.`,
    },
  );
}
