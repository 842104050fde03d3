import { FAULT, PAGE_SIZE } from "../../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import { guestText } from "../../base/guest-text.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { AddressFolding } from "./address-folding.ts";
import { PageTables } from "./page-tables.ts";
import type { PagingLevels, Translation } from "./page-tables.ts";

/** 4,096 translations of small pages cover 16 MiB: modules, vmalloc, per-CPU areas. */
const TLB_SLOTS = 4096;
/** The direct map is made of large pages: one slot for each 2 MiB, covering 1 GiB of objects. */
const LARGE_SLOTS = 512;
const LARGE_PAGE = 0x20_0000;
const TWO_32 = 2 ** 32;
/** A pointer is read again while its low half changes; a writer cannot keep this up. */
const TORN_READ_TRIES = 4;

/**
 * One virtual address space of the guest. Numbers that cannot be read are NaN, bytes undefined.
 * Translations are remembered until `flush`, so views flush when they begin.
 */
export class AddressSpace {
  readonly memory: PhysicalMemory;
  readonly folding: AddressFolding;
  readonly tables: PageTables;
  readonly #pages: Float64Array;
  readonly #frames: Float64Array;
  readonly #mask: number;
  readonly #largePages: Float64Array;
  readonly #largeFrames: Float64Array;
  readonly #largeMask: number;

  /** `slots`, a power of two, is how many translations are remembered. */
  constructor(
    memory: PhysicalMemory,
    folding: AddressFolding,
    root: GuestPhysical,
    levels: PagingLevels,
    slots: number = TLB_SLOTS,
  ) {
    this.#pages = new Float64Array(slots).fill(FAULT);
    this.#frames = new Float64Array(slots);
    this.#mask = slots - 1;
    const largeSlots = Math.min(slots, LARGE_SLOTS);
    this.#largePages = new Float64Array(largeSlots).fill(FAULT);
    this.#largeFrames = new Float64Array(largeSlots);
    this.#largeMask = largeSlots - 1;
    this.memory = memory;
    this.folding = folding;
    this.tables = new PageTables(memory, folding, root, levels);
  }

  /** Forgets translations and copied pages: what follows sees the guest as it is now. */
  flush(): void {
    this.#pages.fill(FAULT);
    this.#largePages.fill(FAULT);
    this.memory.refresh();
  }

  /** Guest-physical address, or −1. */
  physical(address: GuestVirtual): GuestPhysical {
    const large = Math.floor(address / LARGE_PAGE);
    const largeSlot = large & this.#largeMask;
    if (this.#largePages[largeSlot] === large) {
      return this.#largeFrames[largeSlot] + (address - large * LARGE_PAGE);
    }
    const page = Math.floor(address / PAGE_SIZE);
    const slot = page & this.#mask;
    if (this.#pages[slot] === page) return this.#frames[slot] + (address - page * PAGE_SIZE);
    return this.#miss(address, page, slot);
  }

  translate(address: GuestVirtual): Translation | undefined {
    return this.tables.translate(address);
  }

  u8(address: GuestVirtual): number {
    const at = this.#offset(address);
    return at < 0 ? FAULT : this.memory.u8[at]!;
  }

  u16(address: GuestVirtual): number {
    const at = this.#offset(address);
    if (at < 0 || (address & 4095) === 4095) return this.u8(address) + this.u8(address + 1) * 256;
    return this.memory.u8[at]! + this.memory.u8[at + 1]! * 256;
  }

  u32(address: GuestVirtual): number {
    const at = this.#offset(address);
    if (at < 0) return FAULT;
    if (at % 4 === 0) return this.memory.u32[at / 4]!;
    return this.u16(address) + this.u16(address + 2) * 65_536;
  }

  i8(address: GuestVirtual): number {
    const value = this.u8(address);
    return value >= 0x80 ? value - 0x100 : value;
  }

  i16(address: GuestVirtual): number {
    const value = this.u16(address);
    return value >= 0x8000 ? value - 0x1_0000 : value;
  }

  i32(address: GuestVirtual): number {
    const value = this.u32(address);
    return value >= 0x8000_0000 ? value - TWO_32 : value;
  }

  /** A 64-bit count as a number: exact below 2^53. */
  count(address: GuestVirtual): number {
    return this.u32(address) + this.u32(address + 4) * TWO_32;
  }

  u64(address: GuestVirtual): bigint | undefined {
    const low = this.u32(address);
    const high = this.u32(address + 4);
    if (low !== low || high !== high) return undefined;
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /** A pointer, folded; NaN where it cannot be read or names no mapped region. */
  pointer(address: GuestVirtual): GuestVirtual {
    const at = this.#offset(address);
    if (at < 0) return FAULT;
    if (at % 8 !== 0) return this.folding.fold(this.u32(address), this.u32(address + 4));
    const word = at / 4;
    const words = this.memory.u32;
    let low = words[word]!;
    let high = words[word + 1]!;
    // The guest may store between the two loads.
    for (let tries = 0; words[word] !== low && tries < TORN_READ_TRIES; tries++) {
      low = words[word]!;
      high = words[word + 1]!;
    }
    return this.folding.fold(low, high);
  }

  /** A copy of `length` bytes, or undefined where any of them is unreadable. */
  bytes(address: GuestVirtual, length: number): Uint8Array<ArrayBuffer> | undefined {
    if (!(length >= 0)) return undefined;
    const copy = new Uint8Array(length);
    return this.copy(address, copy) === length ? copy : undefined;
  }

  /** Copies into `target` until it is full or a page is missing; returns the bytes copied. */
  copy(address: GuestVirtual, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const from = address + done;
      const inPage = PAGE_SIZE - (from - Math.floor(from / PAGE_SIZE) * PAGE_SIZE);
      const chunk = Math.min(inPage, target.length - done);
      const at = this.#offset(from);
      if (at < 0) return done;
      target.set(this.memory.u8.subarray(at, at + chunk), done);
      done += chunk;
    }
    return done;
  }

  /** Bytes up to a NUL or `limit` as text (see guestText); undefined where the first is unreadable. */
  string(address: GuestVirtual, limit: number): string | undefined {
    const raw = new Uint8Array(limit);
    const length = this.copy(address, raw);
    if (length === 0 && limit > 0) return undefined;
    const end = raw.subarray(0, length).indexOf(0);
    return guestText(raw.subarray(0, end < 0 ? length : end));
  }

  #offset(address: GuestVirtual): number {
    const physical = this.physical(address);
    return physical < 0 ? -1 : this.memory.offsetOf(physical);
  }

  #miss(address: GuestVirtual, page: number, slot: number): GuestPhysical {
    const physical = this.tables.physical(address);
    if (physical < 0) return -1;
    if (this.tables.span >= LARGE_PAGE) {
      const large = Math.floor(address / LARGE_PAGE);
      const largeSlot = large & this.#largeMask;
      this.#largePages[largeSlot] = large;
      this.#largeFrames[largeSlot] = physical - (address - large * LARGE_PAGE);
    } else {
      this.#pages[slot] = page;
      this.#frames[slot] = physical - (address - page * PAGE_SIZE);
    }
    return physical;
  }
}
