import type { GuestVirtual } from "../base/address.ts";
import type { Guest } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { controlGuest, lockGuest } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { runJob } from "./job.ts";
import type { PendingJob } from "./job.ts";
import { RamWriter, impossible } from "./ram-writer.ts";
import type { GuestWrite } from "./ram-writer.ts";

export type { GuestWrite } from "./ram-writer.ts";

/** Puts one piece into the guest's memory. */
export type PutBytes = (write: GuestWrite, hex: string) => void | Promise<void>;

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
  using ram = new RamWriter(controlled);
  const writes = ram.plan(guest.kernel, address, bytes);
  const [write] = writes;
  if (write === undefined || writes.length > 1) {
    throw impossible(`${guest.kernel.format(address)} is not within one page of the guest's RAM`);
  }
  await runJob(home, "write", controlled, () => applyWrites(ram, writes), { why, writes });
  return write;
}

/**
 * Carries out writes that are on record. Where one does not do what it should, those before it are
 * taken back. Throws KVMSEC_WRITE_IMPOSSIBLE.
 */
export async function applyWrites(
  ram: RamWriter,
  writes: readonly GuestWrite[],
  put: PutBytes = directly(ram),
): Promise<void> {
  const changed = writes.find((write) => now(ram, write) !== write.before);
  if (changed !== undefined) throw impossible(`${changed.address} was changed meanwhile`);
  for (const [index, write] of writes.entries()) {
    try {
      await put(write, write.after);
      if (now(ram, write) !== write.after) throw new Error("it did not stay");
    } catch (error) {
      await undoWrites(ram, writes.slice(0, index + 1), put);
      const reason = error instanceof Error ? error.message : String(error);
      throw impossible(`${write.address} could not be written (${reason}); all was taken back`);
    }
  }
}

/** Puts back what was there, wherever that is not the case; the last first. */
export async function undoWrites(
  ram: RamWriter,
  writes: readonly GuestWrite[],
  put: PutBytes = directly(ram),
): Promise<void> {
  for (const write of writes.toReversed()) {
    if (now(ram, write) !== write.before) await put(write, write.before);
  }
}

/** Takes back writes of which nobody knows whether they were done whole. */
export async function undoJob(guest: ControlledGuest, { data, steps }: PendingJob): Promise<void> {
  const told = [data, ...steps.map((step) => step.data)].flatMap(
    ({ writes }) => (writes as GuestWrite[] | undefined) ?? [],
  );
  using ram = new RamWriter(guest);
  await undoWrites(ram, told);
}

/** Through the RAM itself, past QEMU. */
export function directly(ram: RamWriter): PutBytes {
  return (place, hex) => ram.write(place, Buffer.from(hex, "hex"));
}

function now(ram: RamWriter, write: GuestWrite): string {
  return ram.read(write, write.before.length / 2).toString("hex");
}
