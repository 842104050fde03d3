import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import { connectQmp } from "../qmp/connection.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { openHome, writeDocumentFile } from "./home.ts";
import type { Home } from "./home.ts";
import {
  checkedPackets,
  DEFAULT_KEEP,
  dropOldest,
  isFull,
  isPacketObject,
  newPacketFile,
  packetFiles,
  packetObject,
  packetState,
  writePacketState,
} from "./packet-files.ts";
import type { PacketState } from "./packet-files.ts";
import { startPacketKeeper } from "./packet-keeping.ts";
import { withVm } from "./vm-lock.ts";
import { findRun, openConfig, vmPaths } from "./vm-state.ts";
import type { VmPaths, VmRun } from "./vm-state.ts";

const PATIENCE_MS = 10_000;

/**
 * Has a VM's packets kept from now on, also over its restarts: QEMU writes them (filter-dump), where
 * they pass between the guest's card and its network. The guest sees nothing of it.
 * Throws KVMSEC_PACKETS_NO_NETWORK, KVMSEC_PACKETS_KEEP.
 */
export async function keepPackets(
  name: string,
  keepBytes: number = DEFAULT_KEEP,
  home: Home = openHome(),
): Promise<void> {
  await withVm(home, name, "packets on", async (config, paths) => {
    const packets = { keepBytes: checkedPackets(config.network, keepBytes) };
    writeDocumentFile(paths.config, { ...config, packets });
    const run = findRun(home, config);
    if (run !== undefined) await switchOn(paths, run, { ...packets, by: "owner" });
  });
  startPacketKeeper(home.root);
}

/** Keeps no more of them; the files that are there stay until the VM is deleted or others need the room. */
export async function dropPackets(name: string, home: Home = openHome()): Promise<void> {
  await withVm(home, name, "packets off", async (config, paths) => {
    const { packets: _, ...without } = config;
    writeDocumentFile(paths.config, without);
    const run = findRun(home, config);
    if (run !== undefined) await switchOff(paths, run);
  });
}

/** What the guard's configuration wants of a run, besides what its owner wants. */
export async function guardPackets(
  home: Home,
  name: string,
  keepBytes: number | undefined,
): Promise<boolean> {
  return withVm(home, name, "serve (packets)", async (config, paths) => {
    const run = findRun(home, config);
    if (run === undefined || config.packets !== undefined || config.network === "none")
      return false;
    if (keepBytes === undefined) await switchOff(paths, run);
    else {
      await switchOn(paths, run, { keepBytes, by: "guard" });
      startPacketKeeper(home.root);
    }
    return true;
  });
}

async function switchOn(
  paths: VmPaths,
  run: VmRun,
  wish: Pick<PacketState, "keepBytes" | "by">,
): Promise<void> {
  using held = new DisposableStack();
  held.use(await lockPackets(paths));
  const file = packetState(paths, run) === undefined ? newPacketFile(paths) : undefined;
  // On record before it begins: what nobody knows of would grow without a bound.
  writePacketState(paths, { ...wish, run });
  if (file === undefined) return;
  try {
    using monitor = await connectQmp(paths.operator);
    await monitor.execute("object-add", packetObject(file));
  } catch (error) {
    rmSync(paths.packetState, { force: true });
    rmSync(file.path, { force: true });
    throw error;
  }
}

async function switchOff(paths: VmPaths, run: VmRun): Promise<void> {
  using held = new DisposableStack();
  held.use(await lockPackets(paths));
  if (packetState(paths, run) === undefined) return;
  using monitor = await connectQmp(paths.operator);
  for (const id of await packetObjects(monitor)) await monitor.execute("object-del", { id });
  rmSync(paths.packetState, { force: true });
}

/**
 * Sees to it that a run's packets stay within their bound: a full file gives its place to a new one,
 * which is opened before the old one is closed, so that none is missed (one that passes in between
 * may be in both). Does nothing where somebody else is at it.
 */
export async function tendPackets(home: Home, name: string): Promise<void> {
  const paths = vmPaths(home, name);
  using lock = tryLockFile(paths.packetLock);
  const run = findRun(home, openConfig(home, name));
  const state = packetState(paths, run);
  if (lock === undefined || state === undefined) return;
  const current = packetFiles(paths).at(-1);
  // QEMU begins a file with its header: an empty one is of somebody who died before he had asked for it.
  const begun = current !== undefined && current.bytes > 0;
  if (begun && !isFull(current, state.keepBytes)) return;
  if (current?.bytes === 0) rmSync(current.path, { force: true });
  dropOldest(paths, state.keepBytes);
  using monitor = await connectQmp(paths.operator, { timeoutMs: 2000 });
  const former = await packetObjects(monitor);
  await addFile(monitor, paths);
  for (const id of former) await monitor.execute("object-del", { id });
  dropOldest(paths, state.keepBytes);
}

async function addFile(monitor: QmpConnection, paths: VmPaths): Promise<void> {
  const file = newPacketFile(paths);
  try {
    await monitor.execute("object-add", packetObject(file));
  } catch (error) {
    rmSync(file.path, { force: true });
    throw error;
  }
}

async function packetObjects(monitor: QmpConnection): Promise<string[]> {
  const objects = await monitor.execute("qom-list", { path: "/objects" });
  return objects.map(({ name }) => name).filter(isPacketObject);
}

async function lockPackets({ packetLock, folder }: VmPaths): Promise<Disposable> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryLockFile(packetLock);
    if (lock !== undefined) return lock;
    if (Date.now() > deadline) {
      throw new KvmsecError("KVMSEC_PACKETS_BUSY", `Somebody else has the packets of ${folder}.`, {
        hint: "Try again.",
      });
    }
    await sleep(20);
  }
}
