import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** Something stored in an XArray. */
export type XArrayEntry = {
  readonly index: number;
  /** Indices that it stands for, from `index` on: more than one where it was stored with an order. */
  readonly span: number;
  /** NaN for a value. */
  readonly pointer: GuestVirtual;
  /** The integer that was stored in a pointer's place (below 2^63, as a double); NaN for a pointer. */
  readonly value: number;
};

/** Low bits of an entry (include/linux/xarray.h): 00 pointer, 10 internal, 01 and 11 value. */
const TAG = 3;
const VALUE = 1;
const INTERNAL = 2;
/** xa_mk_sibling(63): internal entries up to here refer to an earlier slot of the same node. */
const LAST_SIBLING = 254;
/** xa_is_node: internal entries above are nodes, those between are XA_RETRY, XA_ZERO and errors. */
const FIRST_NODE = 4096;
const TWO_32 = 2 ** 32;

type Node = { readonly address: GuestVirtual; readonly shift: number; readonly first: number };

/** Reads `struct xarray` (lib/xarray.c), which radix trees and IDRs are made of as well. */
export class XArrays {
  readonly #kernel: Kernel;
  readonly #head: number;
  readonly #shift: Reader;
  readonly #slots: number;
  readonly #slotCount: number;
  /** XA_CHUNK_SHIFT: 6, or 4 in a kernel with CONFIG_BASE_SMALL. */
  readonly #slotShift: number;
  readonly #idrRoot: number;
  readonly #idrBase: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#head = kernel.offset("xarray", "xa_head");
    this.#shift = kernel.reader("xa_node", "shift");
    this.#slots = kernel.offset("xa_node", "slots");
    this.#slotCount = kernel.types.length("xa_node", "slots");
    this.#slotShift = Math.log2(this.#slotCount);
    this.#idrRoot = kernel.offset("idr", "idr_rt");
    this.#idrBase = kernel.reader("idr", "idr_base");
  }

  /** Entries of the `struct idr` at `idr`, by id. */
  *idrEntries(
    idr: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<XArrayEntry> {
    const base = this.#idrBase(idr);
    for (const entry of this.entries(idr + this.#idrRoot, budget, problem)) {
      yield { ...entry, index: entry.index + base };
    }
  }

  /** Entries of the `struct xarray` at `xarray`, by index. What cannot be read is told, and left out. */
  *entries(
    xarray: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<XArrayEntry> {
    const name = (): string => `the XArray at ${this.#kernel.format(xarray)}`;
    const { space } = this.#kernel;
    const low = space.u32(xarray + this.#head);
    const high = space.u32(xarray + this.#head + 4);
    if (low !== low || high !== high) return problem?.(`${name()} cannot be read`);
    const root = this.#child(low, high);
    if (root !== undefined) {
      const shift = this.#shift(root);
      const isShift = shift >= 0 && shift < 64 && shift % this.#slotShift === 0;
      if (!isShift) return problem?.(`${name()} cannot be read`);
      yield* this.#walk({ address: root, shift, first: 0 }, budget, () =>
        problem?.(`a part of ${name()} cannot be read`),
      );
    } else if ((low & TAG) !== INTERNAL && (low !== 0 || high !== 0)) {
      yield this.#entry(low, high, 0, 1);
    }
    return undefined;
  }

  /** What is stored at one index (xa_load): a pointer, 0 for nothing, NaN for a value or a fault. */
  load(xarray: GuestVirtual, index: number): GuestVirtual {
    const { space } = this.#kernel;
    let at = xarray + this.#head;
    let shift = Number.POSITIVE_INFINITY;
    for (;;) {
      const low = space.u32(at);
      const high = space.u32(at + 4);
      const node = this.#child(low, high);
      if (node === undefined) return this.#loaded(low, high, shift === Infinity && index > 0);
      const below = this.#shift(node);
      const isBelow = below < shift && below >= 0 && below < 64 && below % this.#slotShift === 0;
      const slot = Math.floor(index / 2 ** below);
      if (!isBelow) return Number.NaN;
      if (shift === Infinity && slot >= this.#slotCount) return 0;
      shift = below;
      at = this.#slotAt(node, slot % this.#slotCount);
    }
  }

  /** A sibling's place is that of the entry that it refers to. */
  #slotAt(node: GuestVirtual, slot: number): GuestVirtual {
    const at = node + this.#slots + slot * 8;
    const low = this.#kernel.space.u32(at);
    const isSibling = (low & TAG) === INTERNAL && low <= LAST_SIBLING;
    if (!isSibling || this.#kernel.space.u32(at + 4) !== 0) return at;
    return node + this.#slots + ((low >>> 2) % this.#slotCount) * 8;
  }

  /** `beyond`: the tree has one entry, at index 0, and another was asked for. */
  #loaded(low: number, high: number, beyond: boolean): GuestVirtual {
    if (low === 0 && high === 0) return 0;
    if ((low & TAG) !== 0) return Number.NaN;
    return beyond ? 0 : this.#kernel.space.folding.fold(low, high);
  }

  *#walk(node: Node, budget: Budget, unread: () => void): Generator<XArrayEntry> {
    const words = this.#wordsOf(node.address);
    if (words === undefined || !budget.step()) return unread();
    const span = 2 ** node.shift;
    for (let slot = 0; slot < this.#slotCount; slot++) {
      const low = words[slot * 2];
      const high = words[slot * 2 + 1];
      if (low === 0 && high === 0) continue;
      const first = node.first + slot * span;
      if ((low & TAG) !== INTERNAL) {
        yield this.#entry(low, high, first, span * (1 + siblings(words, slot)));
        continue;
      }
      const child = this.#child(low, high);
      if (child === undefined) continue;
      const shift = this.#shift(child);
      if (shift !== node.shift - this.#slotShift) unread();
      else yield* this.#walk({ address: child, shift, first }, budget, unread);
    }
    return undefined;
  }

  #wordsOf(node: GuestVirtual): Uint32Array | undefined {
    const bytes = this.#kernel.space.bytes(node + this.#slots, this.#slotCount * 8);
    return bytes === undefined ? undefined : new Uint32Array(bytes.buffer);
  }

  /** The node that an entry names, or undefined where it is none. */
  #child(low: number, high: number): GuestVirtual | undefined {
    if ((low & TAG) !== INTERNAL || (high === 0 && low <= FIRST_NODE)) return undefined;
    // The errors xa_mk_internal(-MAX_ERRNO … -1) lie at the very top.
    return this.#kernel.space.folding.fold(low - INTERNAL, high);
  }

  #entry(low: number, high: number, index: number, span: number): XArrayEntry {
    const isValue = (low & VALUE) === VALUE;
    return {
      index,
      span,
      value: isValue ? (high * TWO_32 + low - 1) / 2 : Number.NaN,
      pointer: isValue ? Number.NaN : this.#kernel.space.folding.fold(low, high),
    };
  }
}

/** How many slots after `slot` only refer back to it. */
function siblings(words: Uint32Array, slot: number): number {
  const wanted = ((slot << 2) | INTERNAL) >>> 0;
  let count = 0;
  for (let next = slot + 1; next * 2 < words.length; next++) {
    const isSibling = words[next * 2] === wanted && words[next * 2 + 1] === 0;
    if (!isSibling || wanted > LAST_SIBLING) break;
    count++;
  }
  return count;
}
