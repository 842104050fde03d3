import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { KvmsecError, usageError } from "../base/errors.ts";
import { CoreFile, kernelSelf } from "../evidence/core-file.ts";
import { sealPackage } from "../evidence/manifest.ts";
import type { Manifest } from "../evidence/manifest.ts";
import { writeJson, writeViews } from "../evidence/observations.ts";
import { TIMELINE } from "../evidence/read-timeline.ts";
import type { Timeline } from "../evidence/timeline.ts";
import { parseRegisters } from "../evidence/registers.ts";
import { GuestClock } from "../linux/clock.ts";
import { kernelDocument } from "../views/info.ts";
import { attach } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { requireDisk } from "../vm/host-room.ts";
import { openImage } from "../vm/images.ts";
import { vmPaths } from "../vm/vm-state.ts";
import { captureFacts } from "./capture-facts.ts";
import { captureTimeline } from "./capture-timeline.ts";
import type { GuestTimes } from "./capture-timeline.ts";
import { GuestCopy } from "./guest-copy.ts";
import type { CopyResult } from "./guest-copy.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Inspect, Inspection } from "./inspection.ts";
import { runJob } from "./job.ts";
import type { Job } from "./job.ts";
import { PacketCopy } from "./packet-copy.ts";

export type CaptureOptions = {
  readonly inspect: Inspect;
  /** Told when a stage begins. */
  readonly onStage?: ((text: string) => void) | undefined;
};

/** What a capture left, and what it cost the guest. */
export type Capture = {
  readonly job: string;
  readonly folder: string;
  readonly manifest: Manifest;
  /** How long the guest stood still for it; 0 where it stood still already. */
  readonly pauseMs: number;
  readonly verdict: Inspection["verdict"] | "unknown";
};

/** Views, registers and manifests beside the RAM and the disks. */
const SPARE_ROOM = 64 * 2 ** 20;

/**
 * Takes a guest's whole state at one moment into a package: memory, devices, disks, registers;
 * then, out of the captured memory, every view and the findings of a sweep. The guest stands still
 * while the first part is copied, and runs on (if it ran before) during the second. The package
 * appears whole, under its name, or not at all.
 */
export async function capture(
  home: Home,
  text: string,
  folder: string,
  options: CaptureOptions,
): Promise<Capture> {
  const place = resolve(folder);
  mustBeFree(place);
  const guest = controlGuest(home, text);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `capture ${text}`));
  const id = randomUUID();
  const partial = `${place}.partial-${id}`;
  return await runJob(
    home,
    "capture",
    guest,
    (job) => make(home, guest, job, { ...options, id, place, partial }),
    {
      folder: place,
      partial,
    },
  );
}

type Making = CaptureOptions & {
  readonly id: string;
  readonly place: string;
  readonly partial: string;
};

async function make(
  home: Home,
  guest: ControlledGuest,
  job: Job,
  making: Making,
): Promise<Capture> {
  const { id, place, partial, onStage = () => {} } = making;
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  try {
    onStage("copying the guest");
    using copy = await GuestCopy.open(guest);
    const { vm } = guest;
    const room = copy.size + (vm?.packets.bytes ?? 0) + SPARE_ROOM;
    requireDisk(partial, room, "capturing the guest");
    using monitor = await monitorOf(guest);
    const facts = await captureFacts(guest, monitor);
    using core = new CoreFile(join(partial, "memory.elf"), copy.blocks);
    using packets = new PacketCopy();
    const openPackets = (): void => vm && packets.open(vmPaths(home, vm.name));
    const result = await copy.take(monitor, partial, core, job, openPackets);
    const packetFiles = packets.copyTo(partial);
    const processors = parseRegisters(result.registers);
    core.writeHead(processors);
    writeJson(join(partial, "registers.json"), { schema: "kvmsec.registers/1", processors });
    await job.step("look");
    onStage("reading every view out of the copy");
    const { verdict, incomplete, times } = await observe(
      home,
      guest,
      partial,
      core,
      result,
      making.inspect,
    );
    const untold = writeTimeline(
      () => captureTimeline(home, guest, partial, result, times),
      partial,
    );
    onStage("hashing and signing");
    await job.step("seal");
    const { registers: _, ...cost } = result;
    const manifest = await sealPackage(home, partial, id, {
      ...facts,
      ...cost,
      packets: packetFiles,
      verdict,
      incomplete: { ...incomplete, ...untold },
      job: job.id,
    });
    if (existsSync(place)) rmdirSync(place);
    renameSync(partial, place);
    return { job: job.id, folder: place, manifest, pauseMs: result.pauseMs, verdict };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Whatever is wrong with the host's records, the rest of the package must not be lost for it. */
function writeTimeline(make: () => Timeline, folder: string): { timeline?: readonly string[] } {
  try {
    writeJson(join(folder, TIMELINE), make());
    return {};
  } catch (error) {
    return { timeline: [error instanceof Error ? error.message : String(error)] };
  }
}

/** Looks into the copy, not into the guest: what is written down is of the moment of the capture. */
async function observe(
  home: Home,
  guest: ControlledGuest,
  folder: string,
  core: CoreFile,
  result: CopyResult,
  inspect: Inspect,
): Promise<{ verdict: Capture["verdict"]; incomplete: object; times: GuestTimes }> {
  try {
    using copied = await attach(`file:${join(folder, "memory.elf")}`);
    const incomplete = writeViews(copied.kernel, guest.text, folder);
    const inspection = await inspect(copied, kernelFile(home, guest), guest.qemu);
    writeJson(join(folder, "findings.json"), {
      schema: "kvmsec.check/1",
      target: guest.text,
      kernel: kernelDocument(copied.kernel),
      verdict: inspection.verdict,
      reasons: inspection.reasons,
      gaps: inspection.gaps,
      ...inspection.document,
    });
    core.writeHead(parseRegisters(result.registers), kernelSelf(copied.kernel));
    const { bootTime, written } = new GuestClock(copied.kernel);
    const times = { bootMs: bootTime, writtenMs: written };
    return { verdict: inspection.verdict, incomplete, times };
  } catch (error) {
    // A guest that is not understood is captured all the same, whatever it did to whoever looked.
    const why = error instanceof KvmsecError ? `${error.code}: ${error.message}` : String(error);
    const times = { bootMs: Number.NaN, writtenMs: Number.NaN };
    return { verdict: "unknown", incomplete: { all: [why] }, times };
  }
}

function kernelFile(home: Home, { vm, qemu }: ControlledGuest): string | undefined {
  if (vm !== undefined) return openImage(home, vm.config.image).vmlinuz;
  const path = qemu.arguments.kernel;
  if (path === undefined) return undefined;
  return `/proc/${qemu.pid}/${path.startsWith("/") ? "root" : "cwd"}/${path}`;
}

function mustBeFree(folder: string): void {
  if (!existsSync(folder) || readdirSync(folder).length === 0) return;
  throw usageError(
    "KVMSEC_EVIDENCE_EXISTS",
    `${basename(folder)} is there already and is not empty.`,
    "Evidence is never overwritten: name another folder with -o.",
  );
}
