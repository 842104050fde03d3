import type { GuestVirtual } from "../../base/address.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { Kernel } from "../kernel.ts";
import type { CodeFile, Section, StaticCallTrampoline } from "./code-file.ts";
import { kernelTables, symbolTrampolines } from "./kernel-file.ts";

/** No module has as many. */
const MAX_ENTRIES = 1 << 16;
const JUMP_ENTRY = 16;
const STATIC_CALL_SITE = 8;

/**
 * Code as it stands in the guest, where no file of it is to be had: it takes the file's place for
 * those tables of patch sites that stay in memory.
 */
export class MemoryCode implements CodeFile {
  readonly sections: ReadonlyMap<string, Section> = new Map();
  readonly tables: CodeFile["tables"];
  readonly staticCallTrampolines: readonly StaticCallTrampoline[];
  readonly #kernel: Kernel;

  constructor(
    kernel: Kernel,
    tables: CodeFile["tables"],
    trampolines: readonly StaticCallTrampoline[],
  ) {
    this.#kernel = kernel;
    this.tables = tables;
    this.staticCallTrampolines = trampolines;
  }

  bytes(address: GuestVirtual, length: number): Uint8Array | undefined {
    return this.#kernel.space.bytes(address, length);
  }

  i32(address: GuestVirtual): number {
    return this.#kernel.space.i32(address);
  }

  pointer(address: GuestVirtual): GuestVirtual {
    return this.#kernel.space.pointer(address);
  }
}

/** The kernel's own: its table of ftrace sites is freed after boot. */
export function kernelMemoryCode(kernel: Kernel): MemoryCode {
  const tables = { ...kernelTables(kernel), mcount: undefined };
  return new MemoryCode(kernel, tables, [...symbolTrampolines(kernel.symbols)]);
}

/** A module's: `struct module` says where the tables lie and how long they are. */
export function moduleMemoryCode(
  kernel: Kernel,
  module: GuestVirtual,
  symbols: SymbolTable | undefined,
): MemoryCode {
  const table = (start: string, count: string, size: number): Section | undefined => {
    const from = kernel.readerOf("module", start)?.(module) ?? 0;
    const entries = kernel.readerOf("module", count)?.(module) ?? 0;
    return from < 0 && entries > 0 && entries <= MAX_ENTRIES
      ? { start: from, size: entries * size }
      : undefined;
  };
  const tables = {
    mcount: undefined,
    staticCalls: table("static_call_sites", "num_static_call_sites", STATIC_CALL_SITE),
    jumpLabels: table("jump_entries", "num_jump_entries", JUMP_ENTRY),
  };
  return new MemoryCode(
    kernel,
    tables,
    symbols === undefined ? [] : [...symbolTrampolines(symbols)],
  );
}
