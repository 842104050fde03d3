import { closeSync, openSync } from "node:fs";
import type { RamBlock } from "../memory/ranges.ts";
import { systemCode } from "../base/errors.ts";
import { joinedBlocks, kindOfParts, openGuestRam } from "../vm/guest-ram.ts";
import { askPluggedMemory } from "../vm/plugged-memory.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import { accessError, locateParts } from "../vm/ram-location.ts";
import type { RamKind, RamLocation } from "../vm/ram-location.ts";
import type { PluggedModule } from "../vm/ram-parts.ts";
import type { BehindResult } from "./copy-behind.ts";
import { RunningCopy } from "./running-copy.ts";
import { copyMemory, copySparse } from "./sparse-copy.ts";

/** An open file, and where in it the RAM's first byte goes. */
export type RamTarget = { readonly fd: number; readonly ramAt: number };

type OpenPart = RamLocation & { readonly fd: number | undefined; readonly base: number };

/** A guest's RAM as it is copied: its parts one behind the other. */
export class RamSource implements Disposable {
  readonly kind: RamKind;
  readonly size: number;
  /** Where it appears to the guest; offsets are within all of it. */
  readonly blocks: readonly RamBlock[];
  readonly #qemu: QemuProcess;
  readonly #modules: readonly PluggedModule[] | undefined;
  readonly #parts: readonly OpenPart[];
  readonly #held = new DisposableStack();

  private constructor(qemu: QemuProcess, modules: readonly PluggedModule[] | undefined) {
    const parts = locateParts(qemu, modules);
    this.#qemu = qemu;
    this.#modules = modules;
    this.kind = kindOfParts(parts);
    this.size = parts.reduce((sum, { size }) => sum + size, 0);
    this.blocks = joinedBlocks(parts);
    this.#parts = this.#opened(parts);
  }

  /** Throws like `locateParts`, and KVMSEC_TARGET_FORBIDDEN. */
  static async open(qemu: QemuProcess): Promise<RamSource> {
    return new RamSource(qemu, qemu.arguments.canGrow ? await askPluggedMemory(qemu) : undefined);
  }

  /** What copies behind the running guest, or why that cannot be done here. */
  async prepareBehind({ fd: target, ramAt }: RamTarget): Promise<PartsBehind | string> {
    await using copies = new PartsBehind();
    try {
      for (const part of this.#parts) {
        if (part.fd === undefined) return "the RAM is private to QEMU";
        const files = { source: part.fd, target, ramAt: ramAt + part.base };
        copies.add(await RunningCopy.prepare(this.#qemu.pid, part, files));
      }
      return copies.move();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Copies it at once, while the guest stands still. Returns the bytes written. */
  copyNow({ fd: target, ramAt }: RamTarget): number {
    let written = 0;
    for (const { fd, base, size } of this.#parts) {
      if (fd !== undefined) written += copySparse(fd, target, ramAt + base, size);
    }
    const others = this.#parts.filter(({ fd }) => fd === undefined);
    if (others.length === 0) return written;
    using memory = openGuestRam(this.#qemu, this.#modules);
    for (const { blocks, base } of others) {
      written += copyMemory(memory, blocks, target, ramAt + base);
    }
    return written;
  }

  #opened(parts: readonly RamLocation[]): OpenPart[] {
    let end = 0;
    return parts.map((part) => {
      const base = end;
      end += part.size;
      return { ...part, base, fd: this.#openFile(part) };
    });
  }

  #openFile({ path }: RamLocation): number | undefined {
    if (path === undefined) return undefined;
    try {
      const fd = openSync(path, "r");
      this.#held.defer(() => closeSync(fd));
      return fd;
    } catch (error) {
      // A mapping without a descriptor: only root may open it, its owner reads it out of QEMU.
      if (path.includes("/map_files/") && systemCode(error) === "EPERM") return undefined;
      this.#held.dispose();
      throw accessError(this.#qemu.pid, error);
    }
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }
}

function sumOf(results: readonly BehindResult[]): BehindResult {
  return {
    bytesWritten: results.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    waits: results.reduce((sum, { waits }) => sum + waits, 0),
  };
}

/** Copies of all parts that are made while the guest runs on. */
export class PartsBehind implements AsyncDisposable {
  #copies: RunningCopy[] = [];

  add(copy: RunningCopy): void {
    this.#copies.push(copy);
  }

  /** Protects the RAM shortly before the guest is stopped. */
  async guard(): Promise<void> {
    await Promise.all(this.#copies.map((copy) => copy.guard()));
  }

  /**
   * Begins, with the guest standing still; returns when it may run on. `copied` comes when all is
   * copied and let go.
   */
  async start(): Promise<{ readonly copied: Promise<BehindResult> }> {
    const started = await Promise.all(this.#copies.map((copy) => copy.start()));
    return { copied: Promise.all(started.map(({ copied }) => copied)).then(sumOf) };
  }

  /** Hands the copies on; this one holds none any more. */
  move(): PartsBehind {
    const moved = new PartsBehind();
    [moved.#copies, this.#copies] = [this.#copies, []];
    return moved;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#copies.map((copy) => copy[Symbol.asyncDispose]()));
  }
}
