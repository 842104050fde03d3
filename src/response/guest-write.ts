import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import { KvmsecError } from "../base/errors.ts";
import type { Guest } from "../vm/guest.ts";
import { locateRam } from "../vm/ram-location.ts";
import type { Home } from "../vm/home.ts";
import { controlGuest, lockGuest } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { runJob } from "./job.ts";
import type { PendingJob } from "./job.ts";

/** Bytes that were put into a guest's memory. */
export type GuestWrite = {
  readonly address: string;
  /** Where they lie in the RAM's file. */
  readonly offset: number;
  readonly before: string;
  readonly after: string;
};

/**
 * Writes into a running guest's memory, at a kernel address and within one page. What was there and
 * what is put there is journalled byte by byte before it is done. Throws KVMSEC_WRITE_IMPOSSIBLE.
 */
export async function writeGuest(
  home: Home,
  guest: Guest,
  address: GuestVirtual,
  bytes: Uint8Array,
  why: string,
): Promise<GuestWrite> {
  const controlled = controlGuest(home, guest.target.text);
  using held = new DisposableStack();
  held.use(await lockGuest(home, controlled, "write"));
  const fd = openRam(controlled);
  try {
    const write = plan(guest, fd, address, bytes);
    return await runJob(
      home,
      "write",
      controlled,
      async () => {
        writeSync(fd, bytes, 0, bytes.length, write.offset);
        if (readHex(fd, write.offset, bytes.length) === write.after) return write;
        throw impossible(`${write.address} did not keep what was written`);
      },
      { why, write },
    );
  } finally {
    closeSync(fd);
  }
}

/** Takes back a write of which nobody knows whether it was done whole. */
export function undoWrite(guest: ControlledGuest, { data }: PendingJob): void {
  const { offset, before } = data["write"] as GuestWrite;
  const fd = openRam(guest);
  try {
    writeSync(fd, Buffer.from(before, "hex"), 0, undefined, offset);
  } finally {
    closeSync(fd);
  }
}

function plan({ kernel }: Guest, fd: number, address: GuestVirtual, bytes: Uint8Array): GuestWrite {
  const physical = kernel.space.physical(address);
  const offset = kernel.memory.stable ? kernel.memory.offsetOf(physical) : -1;
  if (!(offset >= 0) || (physical % PAGE_SIZE) + bytes.length > PAGE_SIZE) {
    throw impossible(`${kernel.format(address)} is not within one page of the guest's RAM`);
  }
  return {
    address: kernel.format(address),
    offset,
    before: readHex(fd, offset, bytes.length),
    after: Buffer.from(bytes).toString("hex"),
  };
}

function openRam({ qemu, text }: ControlledGuest): number {
  const { path } = locateRam(qemu);
  if (path === undefined) throw impossible(`the RAM of ${text} is private to its QEMU`);
  return openSync(path, "r+");
}

function readHex(fd: number, offset: number, length: number): string {
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes, 0, length, offset);
  return bytes.toString("hex");
}

function impossible(reason: string): KvmsecError {
  return new KvmsecError("KVMSEC_WRITE_IMPOSSIBLE", `Nothing was written: ${reason}.`, {
    hint: "Only guests whose RAM is a file or memfd can be written to.",
  });
}
