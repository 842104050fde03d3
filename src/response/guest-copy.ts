import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RamBlock } from "../memory/ranges.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { diskFile, writableDisks } from "./disk-copy.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Job } from "./job.ts";
import { inOneStop } from "./one-stop.ts";
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
    const { timeline, registers, copying } = await inOneStop({
      monitor,
      folder,
      job,
      disks,
      wasRunning,
      behind,
      ram: this.#ram,
      target: core,
      guest: this.#guest,
      onStopped,
    });
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
      disks: disks.map((disk) => ({
        file: diskFile(disk),
        format: disk.format,
        backing: disk.backing ?? null,
      })),
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
}
