import { EXCEPTIONS, FIRST_EXTERNAL_VECTOR } from "../checks/idt-vectors.ts";
import type { Finding } from "../checks/finding.ts";
import type { SweepFacts } from "../checks/sweep-facts.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { RepairPart } from "../response/repair.ts";

const GATE_SIZE = 16;
/** __KERNEL_CS, and the type of an interrupt gate. */
const KERNEL_CS = 0x10;

/** An exception's gate of which only the target is wrong: it leads to `asm_exc_NAME`. */
export function gateParts({ kernel }: SweepFacts, finding: Finding): RepairPart[] | string {
  const vector = finding.subject["vector"];
  const { type, selector } = finding.evidence;
  if (typeof vector !== "number" || vector >= FIRST_EXTERNAL_VECTOR) {
    return "which of the kernel's entry points this vector had is written down nowhere";
  }
  const entry = kernel.symbol(`asm_exc_${EXCEPTIONS[vector]}`);
  if (!(entry < 0)) return "this kernel has no entry point for that vector";
  if (type !== "interrupt" || selector !== KERNEL_CS)
    return "more of the gate than its target is wrong";
  const address = kernel.requireSymbol("idt_table") + vector * GATE_SIZE;
  const seen = kernel.space.bytes(address, GATE_SIZE);
  if (seen === undefined) return "the gate cannot be read";
  const right = Buffer.from(seen);
  const target = kernel.space.folding.unfold(entry);
  // Offset bits 0-15, 16-31 and 32-63 (Intel SDM 3A, 6.14.1).
  right.writeUInt16LE(Number(target & 0xffffn), 0);
  right.writeUInt16LE(Number((target >> 16n) & 0xffffn), 6);
  right.writeUInt32LE(Number(target >> 32n), 8);
  return [{ address, seen: Uint8Array.from(seen), right, code: false }];
}

/** A pointer to a table of functions, where the kernel's own table is known by name. */
export function operationsParts({ kernel }: SweepFacts, finding: Finding): RepairPart[] | string {
  const { slot, expected } = finding.evidence;
  const address = addressOf(kernel, slot);
  if (typeof expected !== "string" || address === undefined) {
    return "the table that belongs there is not known";
  }
  const table = kernel.symbol(expected);
  const seen = kernel.space.bytes(address, 8);
  if (!(table < 0) || seen === undefined) return "the table that belongs there cannot be found";
  const right = Buffer.alloc(8);
  right.writeBigUInt64LE(kernel.space.folding.unfold(table));
  return [{ address, seen: Uint8Array.from(seen), right, code: false }];
}

/** An address as findings show it. */
function addressOf(kernel: Kernel, text: unknown): GuestVirtual | undefined {
  if (typeof text !== "string" || !/^0x[0-9a-f]{1,16}$/.test(text)) return undefined;
  const value = BigInt(text);
  return kernel.space.folding.fold(Number(value & 0xffff_ffffn), Number(value >> 32n));
}
