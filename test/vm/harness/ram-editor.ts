import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { GuestPhysical, GuestVirtual } from "../../../src/base/address.ts";
import { locateRam } from "../../../src/vm/ram-location.ts";
import { qemuProcess } from "../../../src/vm/qemu-process.ts";
import type { Guest } from "./guest.ts";

type Piece = { readonly offset: number; readonly piece: Uint8Array };

/**
 * Writes into a throwaway guest's memory from the host: the end state of an attack, without one.
 * Everything that was written can be taken back, and is when this is disposed.
 */
export class RamEditor implements Disposable {
  readonly #kernel: Kernel;
  readonly #fd: number;
  readonly #undo: (() => void)[] = [];

  constructor(guest: Guest, kernel: Kernel) {
    const qemu = qemuProcess(guest.pid);
    const path = qemu === undefined ? undefined : locateRam(qemu).path;
    if (path === undefined) throw new Error("only a guest whose RAM is a file can be edited");
    this.#kernel = kernel;
    this.#fd = openSync(path, "r+");
  }

  /** Replaces bytes at a kernel address; returns what takes that back. */
  write(address: GuestVirtual, bytes: Uint8Array): () => void {
    return this.#apply(this.#pieces(address, bytes));
  }

  /** Replaces bytes at a guest-physical address, all in one page. */
  writePhysical(physical: GuestPhysical, bytes: Uint8Array): () => void {
    return this.#apply([{ offset: this.#kernel.memory.offsetOf(physical), piece: bytes }]);
  }

  #apply(pieces: readonly Piece[]): () => void {
    const parts = pieces.map(({ offset, piece }) => {
      const before = new Uint8Array(piece.length);
      readSync(this.#fd, before, 0, before.length, offset);
      writeSync(this.#fd, piece, 0, piece.length, offset);
      return { offset, before };
    });
    const undo = (): void => {
      for (const { offset, before } of parts.splice(0)) {
        writeSync(this.#fd, before, 0, before.length, offset);
      }
    };
    this.#undo.push(undo);
    return undo;
  }

  writePointer(address: GuestVirtual, value: GuestVirtual): () => void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(this.#kernel.space.folding.unfold(value));
    return this.write(address, bytes);
  }

  writeHex(address: GuestVirtual, hex: string): () => void {
    return this.write(address, Buffer.from(hex.replaceAll(" ", ""), "hex"));
  }

  /** A five-byte `jmp` (or, with opcode 0xe8, `call`) at `address` to `target`. */
  writeBranch(address: GuestVirtual, target: GuestVirtual, opcode = 0xe9): () => void {
    const bytes = Buffer.alloc(5, opcode);
    bytes.writeInt32LE(target - address - 5, 1);
    return this.write(address, bytes);
  }

  /** As list_del, without poisoning the entry itself; returns what links it again. */
  unlink(link: GuestVirtual): () => void {
    const { space } = this.#kernel;
    const [next, previous] = [space.pointer(link), space.pointer(link + 8)];
    const one = this.writePointer(previous, next);
    const other = this.writePointer(next + 8, previous);
    return () => {
      one();
      other();
    };
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.toReversed()) undo();
    closeSync(this.#fd);
  }

  /** What lies in one page has one place in the file. */
  #pieces(address: GuestVirtual, bytes: Uint8Array): Piece[] {
    const pieces: Piece[] = [];
    for (let done = 0; done < bytes.length;) {
      const at = address + done;
      const inPage = 4096 - (at - Math.floor(at / 4096) * 4096);
      const length = Math.min(inPage, bytes.length - done);
      const offset = this.#kernel.memory.offsetOf(this.#kernel.space.physical(at));
      if (offset < 0) throw new Error(`${this.#kernel.format(at)} is not mapped`);
      pieces.push({ offset, piece: bytes.subarray(done, done + length) });
      done += length;
    }
    return pieces;
  }
}
