import type { GuestVirtual } from "../base/address.ts";
import type { CodeOwners } from "./code-owner.ts";
import type { Kernel } from "./kernel.ts";

/** One gate of the interrupt descriptor table (Intel SDM 3A, 6.14.1). */
export type Gate = {
  readonly vector: number;
  readonly present: boolean;
  /** `interrupt`, `trap`, or the number of a type that Linux does not use. */
  readonly type: "interrupt" | "trap" | number;
  readonly dpl: number;
  /** Interrupt stack table entry, 0 for none. */
  readonly ist: number;
  readonly selector: number;
  readonly address: GuestVirtual;
  /** The address for people: `asm_exc_page_fault`, `handler+0x12 [module]`. */
  readonly target: string;
  readonly symbol: string | undefined;
  readonly offset: number;
  readonly owner: string | undefined;
};

const VECTORS = 256;
const GATE_SIZE = 16;
const INTERRUPT_GATE = 14;
const TRAP_GATE = 15;

/**
 * The interrupt descriptor table: `idt_table` itself (arch/x86/kernel/idt.c). Processors read it
 * through a read-only alias that `idt_descr` names; `problem` is told where the alias differs.
 */
export class Idt {
  readonly #kernel: Kernel;
  readonly #owners: CodeOwners;

  constructor(kernel: Kernel, owners: CodeOwners) {
    this.#kernel = kernel;
    this.#owners = owners;
  }

  /** All 256 gates; nothing, and a problem, where the table cannot be read. */
  *gates(problem: (reason: string) => void): Generator<Gate> {
    const { space } = this.#kernel;
    const table = this.#kernel.requireSymbol("idt_table");
    const bytes = space.bytes(table, VECTORS * GATE_SIZE);
    if (bytes === undefined) return problem("idt_table cannot be read");
    const alias = this.alias();
    const seen = alias === undefined ? undefined : space.bytes(alias, bytes.length);
    if (seen === undefined) problem("the table that idt_descr names cannot be read");
    else if (!Buffer.from(seen).equals(bytes)) problem("the table that idt_descr names differs");
    for (let vector = 0; vector < VECTORS; vector++) yield this.#gate(bytes, vector);
  }

  /** Where `idt_descr` (struct desc_ptr: u16 size, u64 address, packed) says that the table lies. */
  alias(): GuestVirtual | undefined {
    const descriptor = this.#kernel.symbol("idt_descr");
    const address = this.#kernel.space.pointer(descriptor + 2);
    return address < 0 ? address : undefined;
  }

  #gate(bytes: Uint8Array, vector: number): Gate {
    const view = new DataView(bytes.buffer, bytes.byteOffset + vector * GATE_SIZE, GATE_SIZE);
    const attributes = view.getUint16(4, true);
    const low = view.getUint16(0, true) + view.getUint16(6, true) * 0x1_0000;
    const address = this.#kernel.space.folding.fold(low, view.getUint32(8, true));
    const type = (attributes >>> 8) & 0xf;
    const owner = this.#owners.ownerOf(address);
    return {
      vector,
      present: attributes >>> 15 === 1,
      type: type === INTERRUPT_GATE ? "interrupt" : type === TRAP_GATE ? "trap" : type,
      dpl: (attributes >>> 13) & 3,
      ist: attributes & 7,
      selector: view.getUint16(2, true),
      address,
      target: this.#owners.describe(address),
      symbol: owner?.symbol,
      offset: owner?.offset ?? 0,
      owner: owner?.name,
    };
  }
}
