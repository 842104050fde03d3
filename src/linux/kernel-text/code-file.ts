import type { GuestVirtual } from "../../base/address.ts";

export type Section = { readonly start: GuestVirtual; readonly size: number };

/** A jump that leads to what a key holds: `__SCT__name` and `__SCK__name`. */
export type StaticCallTrampoline = { readonly address: GuestVirtual; readonly key: GuestVirtual };

/**
 * A file with code, laid out and relocated as its loader did: what memory held before the kernel
 * began to patch itself.
 */
export interface CodeFile {
  /** Those that have an address in the guest, by name. */
  readonly sections: ReadonlyMap<string, Section>;
  /** Tables of patch sites that have no section of their own name in every file. */
  readonly tables: {
    readonly mcount: Section | undefined;
    readonly staticCalls: Section | undefined;
    readonly jumpLabels: Section | undefined;
  };
  readonly staticCallTrampolines: readonly StaticCallTrampoline[];
  /** A view of the bytes at a (moved) address, undefined where the file has none. */
  bytes(address: GuestVirtual, length: number): Uint8Array | undefined;
  /** Signed 32-bit word at an address, NaN where the file has none. */
  i32(address: GuestVirtual): number;
  /** An address that the file holds there, signed; NaN where it has none. */
  pointer(address: GuestVirtual): GuestVirtual;
}
