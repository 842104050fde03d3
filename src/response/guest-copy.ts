import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { syncPath } from "../base/durable.ts";
import type { RamBlock } from "../memory/ranges.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { BehindResult } from "./copy-behind.ts";
import { DeviceStateWriter } from "./device-state.ts";
import { copyDisk, writableDisks } from "./disk-copy.ts";
import type { Disk } from "./disk-copy.ts";
import { runOn } from "./freeze.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Job } from "./job.ts";
import { takeScreenshot } from "./screenshot.ts";
import type { Screenshot } from "./screenshot.ts";
import { RamSource } from "./ram-source.ts";
import type { PartsBehind, RamTarget } from "./ram-source.ts";

/** What was copied of a guest, and when each part was done. */
export type CopyResult = {
  /** `copy-behind`: the RAM was write-protected in the stop and copied while the guest ran. */
  readonly method: "stop-copy-cont" | "copy-behind";
  /** Why the RAM was copied during the stop. */
  readonly methodReason: string | null;
  /** How often the running guest waited for a piece of RAM to be copied. */
  readonly waits: number;
  /** From the moment before `stop` to the moment after `cont`. */
  readonly pauseMs: number;
  readonly timeline: readonly { readonly at: string; readonly what: string; readonly ms: number }[];
  readonly ram: { readonly kind: string; readonly size: number; readonly bytesWritten: number };
  /** RAM that is not shared is in the device state too. */
  readonly ramInDeviceState: boolean;
  readonly disks: readonly {
    readonly file: string;
    readonly format: string;
    readonly backing: string | null;
  }[];
  /** Disks that are no files of this host and were not copied. */
  readonly disksLeftOut: readonly string[];
  /** What QEMU says of each vCPU. */
  readonly registers: string;
  /** What its display showed a moment after it ran on, or why there is no picture. */
  readonly screenshot: Screenshot;
};

/** Copies a guest's RAM, devices, registers and disks in one stop. */
export class GuestCopy implements Disposable {
  readonly blocks: readonly RamBlock[];
  readonly size: number;
  readonly #guest: ControlledGuest;
  readonly #ram: RamSource;

  private constructor(guest: ControlledGuest, ram: RamSource) {
    this.#guest = guest;
    this.#ram = ram;
    this.size = ram.size;
    this.blocks = ram.blocks;
  }

  /** Throws where the guest's RAM cannot be found or may not be read. */
  static async open(guest: ControlledGuest): Promise<GuestCopy> {
    return new GuestCopy(guest, await RamSource.open(guest.qemu));
  }

  /**
   * Stops the guest if it runs, copies, and lets it run on if it ran. Whatever fails in between, a
   * guest that ran runs on. `onStopped` is called, and waited for, while it stands still.
   */
  async take(
    monitor: QmpConnection,
    folder: string,
    core: RamTarget,
    job: Job,
    onStopped: () => void = () => {},
  ): Promise<CopyResult> {
    const { disks, others } = await writableDisks(monitor, this.#guest.qemu.pid);
    const wasRunning = (await monitor.execute("query-status")).running;
    await using stack = new AsyncDisposableStack();
    const behind = await this.#prepareBehind(wasRunning, core);
    if (typeof behind !== "string") stack.use(behind);
    const devices = stack.use(await DeviceStateWriter.prepare(monitor, this.#guest.qemu.uid));
    // QEMU syncs its disks while it stops: what is on the disk before need not be waited for then.
    for (const disk of wasRunning ? disks : []) syncPath(disk.path);
    await job.step("stop", { wasRunning });
    const timeline = new Timeline();
    let copying: Promise<BehindResult> | undefined;
    let registers = "";
    try {
      if (wasRunning) await monitor.execute("stop");
      timeline.add("stopped");
      onStopped();
      registers = await monitor.human("info registers -a");
      timeline.add("registers");
      await devices.save(join(folder, "device-state.bin"));
      timeline.add("device state");
      for (const disk of disks) copyDisk(disk, join(folder, diskFile(disk.node, disk.format)));
      timeline.add("disks");
      copying = this.#startCopy(behind, core);
      // Awaited below; until then a failure must not count as unhandled.
      copying.catch(() => {});
      timeline.add(typeof behind === "string" ? "memory" : "write-protected");
    } catch (error) {
      // Nobody would serve a guest that waits for a page.
      await stack.disposeAsync();
      throw error;
    } finally {
      if (wasRunning) await runOn(monitor, this.#guest);
      timeline.add(wasRunning ? "continued" : "left stopped");
    }
    const pauseMs = wasRunning ? timeline.elapsed : 0;
    const { bytesWritten, waits } = await copying;
    if (typeof behind !== "string") timeline.add("memory, behind the running guest");
    writeFileSync(join(folder, "registers.txt"), registers, { mode: 0o600 });
    const screenshot = await takeScreenshot(monitor, join(folder, "screen.png"));
    return {
      screenshot,
      method: typeof behind === "string" ? "stop-copy-cont" : "copy-behind",
      methodReason: typeof behind === "string" ? behind : null,
      pauseMs,
      waits,
      timeline: timeline.entries,
      ram: { kind: this.#ram.kind, size: this.size, bytesWritten },
      ramInDeviceState: this.#ram.kind === "anonymous",
      disks: disks.map(told),
      disksLeftOut: others,
      registers,
    };
  }

  [Symbol.dispose](): void {
    this.#ram[Symbol.dispose]();
  }

  async #prepareBehind(wasRunning: boolean, target: RamTarget): Promise<PartsBehind | string> {
    if (!wasRunning) return "the guest stood still already";
    return await this.#ram.prepareBehind(target);
  }

  #startCopy(behind: PartsBehind | string, target: RamTarget): Promise<BehindResult> {
    if (typeof behind !== "string") return behind.start();
    return Promise.resolve({ bytesWritten: this.#ram.copyNow(target), waits: 0 });
  }
}

function told({ node, format, backing }: Disk): CopyResult["disks"][number] {
  return { file: diskFile(node, format), format, backing: backing ?? null };
}

class Timeline {
  readonly entries: { at: string; what: string; ms: number }[] = [];
  readonly #start = performance.now();

  get elapsed(): number {
    return this.entries.at(-1)?.ms ?? 0;
  }

  add(what: string): void {
    const ms = performance.now() - this.#start;
    this.entries.push({ at: new Date().toISOString(), what, ms });
  }
}

/** Node names are QEMU's and may hold anything. */
function diskFile(node: string, format: string): string {
  return `disk-${node.replaceAll(/[^\w.-]/g, "_")}.${format.replaceAll(/\W/g, "_")}`;
}
