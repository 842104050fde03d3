import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { CodeOwners } from "../../../src/linux/code-owner.ts";
import { Idt } from "../../../src/linux/idt.ts";
import { idt } from "../../../src/views/idt.ts";
import type { Guest } from "../harness/guest.ts";
import { readAll } from "./read-all.ts";

/** What QEMU says of the processor's IDTR, and what it reads there, gate by gate. */
export async function gatesAreThoseOfTheProcessor(guest: Guest, kernel: Kernel): Promise<void> {
  const gates = readAll(idt, kernel);
  const registers = await guest.hmp("info registers");
  const [, base, limit] = /^IDT=\s+([0-9a-f]{16}) ([0-9a-f]{8})$/m.exec(registers) ?? [];
  const alias = new Idt(kernel, new CodeOwners(kernel)).alias();
  assert.equal(alias === undefined ? alias : kernel.format(alias), `0x${base}`);
  assert.equal(Number.parseInt(limit ?? "", 16), gates.length * 16 - 1);
  const words = (await guest.hmp(`x /512gx 0x${base}`)).matchAll(/0x([0-9a-f]{16})/g);
  const seen = Array.from(words, ([, word]) => BigInt(`0x${word}`));
  assert.equal(seen.length, 512);
  for (const { vector, ...gate } of gates) {
    const [low, high] = seen.slice(vector * 2, vector * 2 + 2);
    const address = (low & 0xffffn) | ((low >> 32n) & 0xffff0000n) | ((high & 0xffffffffn) << 32n);
    assert.equal(kernel.format(gate.address), `0x${address.toString(16)}`, `vector ${vector}`);
    assert.equal(gate.dpl, Number((low >> 45n) & 3n), `vector ${vector}`);
    assert.equal(gate.ist, Number((low >> 32n) & 7n), `vector ${vector}`);
    assert.equal(gate.selector, Number((low >> 16n) & 0xffffn), `vector ${vector}`);
    assert.equal(gate.present, (low >> 47n) % 2n === 1n, `vector ${vector}`);
  }
}

/** Exceptions enter what their names say; only gates that nobody ever set lead into boot code. */
export function gatesLeadIntoTheKernel(_guest: Guest, kernel: Kernel): void {
  const gates = readAll(idt, kernel);
  const symbols = [0, 3, 8, 13, 14].map((vector) => gates[vector].symbol);
  assert.deepEqual(
    symbols,
    ["divide_error", "int3", "double_fault", "general_protection", "page_fault"].map(
      (name) => `asm_exc_${name}`,
    ),
  );
  assert.match(gates[0x80].symbol ?? "", /int80/i);
  for (const { vector, owner, symbol, target } of gates) {
    if (owner === "freed") assert.equal(symbol, "early_idt_handler_array", target);
    else assert.equal(owner, "vmlinux", `vector ${vector}: ${target}`);
    if (owner === "freed") assert.ok(vector < 32, target);
  }
}
