import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import { PAGE_SIZE } from "../base/address.ts";
import { KvmsecError, systemCode } from "../base/errors.ts";
import type { Kernel } from "../linux/kernel.ts";
import { blockOf } from "../memory/ranges.ts";
import type { RamBlock } from "../memory/ranges.ts";
import { locateParts } from "../vm/ram-location.ts";
import type { ControlledGuest } from "./guest-control.ts";

/** Bytes that are put into a guest's memory, all in one page. */
export type GuestWrite = {
  readonly address: string;
  readonly physical: GuestPhysical;
  /** Which part of the RAM they lie in, and where in it. */
  readonly part: number;
  readonly offset: number;
  readonly before: string;
  readonly after: string;
};

type Place = Pick<GuestWrite, "part" | "offset">;
/** An open file, and where in it a part of the RAM begins. */
type OpenPart = {
  readonly fd: number;
  readonly base: number;
  readonly blocks: readonly RamBlock[];
};

/** A guest's RAM, to be written to: its files, or QEMU's own memory where it is private to QEMU. */
export class RamWriter implements Disposable {
  readonly #held = new DisposableStack();
  readonly #parts: readonly OpenPart[];

  /** Throws KVMSEC_WRITE_IMPOSSIBLE. */
  constructor({ qemu, text }: ControlledGuest) {
    try {
      this.#parts = locateParts(qemu).map(({ path, hostAddress, blocks }) => {
        const fd = openSync(path ?? `/proc/${qemu.pid}/mem`, "r+");
        this.#held.defer(() => closeSync(fd));
        return { fd, base: path === undefined ? Number(hostAddress) : 0, blocks };
      });
    } catch (error) {
      this.#held.dispose();
      if (error instanceof KvmsecError) throw error;
      throw impossible(`the RAM of ${text} cannot be opened (${systemCode(error)})`);
    }
  }

  read({ part, offset }: Place, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const { fd, base } = this.#part(part);
    readSync(fd, bytes, 0, length, base + offset);
    return bytes;
  }

  write({ part, offset }: Place, bytes: Uint8Array): void {
    const { fd, base } = this.#part(part);
    writeSync(fd, bytes, 0, bytes.length, base + offset);
  }

  /**
   * What has to be written for `bytes` to stand at a kernel address: a piece for each page.
   * Throws KVMSEC_WRITE_IMPOSSIBLE where it is not RAM.
   */
  plan(kernel: Kernel, address: GuestVirtual, bytes: Uint8Array): GuestWrite[] {
    const writes: GuestWrite[] = [];
    for (let done = 0; done < bytes.length;) {
      const at = address + done;
      const physical = kernel.space.physical(at);
      const length = Math.min(PAGE_SIZE - (physical % PAGE_SIZE) || 0, bytes.length - done);
      const place = this.#placeOf(physical);
      if (place === undefined || !(length > 0)) {
        throw impossible(`${kernel.format(at)} is not in the guest's RAM`);
      }
      writes.push({
        address: kernel.format(at),
        physical,
        ...place,
        before: this.read(place, length).toString("hex"),
        after: Buffer.from(bytes.subarray(done, done + length)).toString("hex"),
      });
      done += length;
    }
    return writes;
  }

  #placeOf(physical: GuestPhysical): Place | undefined {
    for (const [part, { blocks }] of this.#parts.entries()) {
      const block = blockOf(blocks, physical);
      if (block !== undefined) return { part, offset: block.offset + (physical - block.start) };
    }
    return undefined;
  }

  #part(index: number): OpenPart {
    return this.#parts[index] ?? raise("the RAM has other parts than before");
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }
}

function raise(reason: string): never {
  throw impossible(reason);
}

export function impossible(reason: string): KvmsecError {
  return new KvmsecError("KVMSEC_WRITE_IMPOSSIBLE", `Nothing was written: ${reason}.`, {
    hint: "A guest's memory is written to only while it runs under QEMU, by its owner or root.",
  });
}
