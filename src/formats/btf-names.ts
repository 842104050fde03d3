import { hashBytes } from "./byte-hash.ts";
import { BtfKind } from "./type-source.ts";
import type { BtfIndex } from "./btf-index.ts";

/** The kernel's KSYM_NAME_LEN: longer names do not occur, so nobody makes us hash megabytes. */
const MAX_NAME = 512;

/** A BTF's strings. With a base, offsets below the end of the base's strings are the base's. */
export class BtfStrings {
  /** The first offset that is not ours any more. */
  readonly end: number;
  readonly #buffer: Buffer;
  readonly #start: number;
  /** The first offset that is not the base's. */
  readonly first: number;
  readonly #base: BtfStrings | undefined;

  constructor(index: BtfIndex, base?: BtfStrings) {
    this.#buffer = index.buffer;
    this.first = base === undefined ? 0 : base.end;
    this.#start = index.stringStart - this.first;
    this.#base = base;
    this.end = this.first + index.stringLength;
  }

  /** At most 512 bytes of the string; empty where the offset lies outside. */
  text(offset: number): string {
    if (offset < this.first) return this.#base === undefined ? "" : this.#base.text(offset);
    if (offset >= this.end) return "";
    const from = this.#start + offset;
    const limit = Math.min(from + MAX_NAME, this.#start + this.end);
    let to = from;
    while (to < limit && this.#buffer[to] !== 0) to++;
    return this.#buffer.toString("utf8", from, to);
  }

  hash(offset: number): number {
    if (offset < this.first) return this.#base === undefined ? 0 : this.#base.hash(offset);
    if (offset >= this.end) return 0;
    return hashName(this.#buffer, this.#start + offset, this.#start + this.end);
  }

  /** `name` ends in NUL. */
  equals(offset: number, name: Buffer): boolean {
    if (offset < this.first) return this.#base !== undefined && this.#base.equals(offset, name);
    if (offset + name.length > this.end) return false;
    const from = this.#start + offset;
    return this.#buffer.compare(name, 0, name.length, from, from + name.length) === 0;
  }
}

/** Of the string up to its NUL. */
function hashName(bytes: Buffer, from: number, end: number): number {
  const limit = Math.min(end, from + MAX_NAME);
  let to = from;
  while (to < limit && bytes[to] !== 0) to++;
  return hashBytes(bytes, from, to);
}

/** Chains of type numbers + 1: `head[hash]` → `next[number]` → … → 0, lowest number first. */
type Table = { readonly head: Int32Array; readonly next: Int32Array };

/**
 * Finds a BTF's own types by name. Functions are more than half of all names and rarely asked
 * for, so they have a table of their own; each table is built at its first question. Chained,
 * so that a thousand types of one name cost their builder nothing.
 */
export class BtfNames {
  readonly #index: BtfIndex;
  readonly #strings: BtfStrings;
  #types: Table | undefined;
  #functions: Table | undefined;

  constructor(index: BtfIndex, strings: BtfStrings) {
    this.#index = index;
    this.#strings = strings;
  }

  /** Number (from 0) of the first own type with that name and kind, or −1. */
  find(name: string, kind: BtfKind): number {
    const wanted = Buffer.from(`${name}\0`, "utf8");
    if (wanted.length < 2 || wanted.length > MAX_NAME) return -1;
    const table =
      kind === BtfKind.FUNC
        ? (this.#functions ??= this.#build(true))
        : (this.#types ??= this.#build(false));
    const { u32, words } = this.#index;
    const hash = hashName(wanted, 0, wanted.length);
    let entry = table.head[hash & (table.head.length - 1)];
    while (entry !== 0) {
      const at = words[entry - 1];
      const itsKind = (u32[at + 1] >>> 24) & 0x7f;
      if (itsKind === kind && this.#strings.equals(u32[at], wanted)) return entry - 1;
      entry = table.next[entry - 1];
    }
    return -1;
  }

  #build(functions: boolean): Table {
    const { u32, words } = this.#index;
    let size = 256;
    while (size < words.length && size < 1 << 20) size *= 2;
    const head = new Int32Array(size);
    const next = new Int32Array(words.length);
    for (let i = words.length - 1; i >= 0; i--) {
      const at = words[i];
      const isFunction = ((u32[at + 1] >>> 24) & 0x7f) === BtfKind.FUNC;
      if (u32[at] === 0 || isFunction !== functions) continue;
      const slot = this.#strings.hash(u32[at]) & (size - 1);
      next[i] = head[slot];
      head[slot] = i + 1;
    }
    return { head, next };
  }
}
