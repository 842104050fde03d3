import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** Where a record's text lies: logical positions, which count on while the ring goes round. */
export type TextBlock = {
  readonly id: bigint;
  readonly begin: bigint;
  readonly next: bigint;
  /** Bytes of text, as the record itself says. */
  readonly length: number;
};

/** CONFIG_LOG_BUF_SHIFT may be 25, and log_buf_len= up to 2 GiB. */
const MAX_SIZE_BITS = 31;
/** Each block begins with the id of its descriptor (struct prb_data_block). */
const ID_SIZE = 8;
/** A position with the lowest bit set is none: the record has no text (NO_LPOS) or lost it. */
const EMPTY_LINE_LPOS = 3n;
/** Longest text that is read; the kernel's own limit is 1,024 and a prefix. */
const MAX_TEXT = 0x1_0000;

/** The ring of texts (struct prb_data_ring, kernel/printk/printk_ringbuffer.c). */
export class TextRing {
  readonly #kernel: Kernel;
  readonly #data: GuestVirtual;
  readonly #size: bigint;

  private constructor(kernel: Kernel, data: GuestVirtual, size: bigint) {
    this.#kernel = kernel;
    this.#data = data;
    this.#size = size;
  }

  /** Undefined where that is no ring. */
  static open(kernel: Kernel, data: GuestVirtual, sizeBits: number): TextRing | undefined {
    if (!(data < 0 && sizeBits > 0 && sizeBits <= MAX_SIZE_BITS)) return undefined;
    return new TextRing(kernel, data, 1n << BigInt(sizeBits));
  }

  /** The text, or undefined where it was lost or is another record's by now. */
  read({ id, begin, next, length }: TextBlock): string | undefined {
    if ((begin & 1n) === 1n || (next & 1n) === 1n) {
      return begin === EMPTY_LINE_LPOS && next === EMPTY_LINE_LPOS ? "" : undefined;
    }
    // A block that would cross the end lies whole at the start; since 6.18 it may end exactly there.
    const wrapped = begin / this.#size !== (next - 1n) / this.#size;
    const start = wrapped ? 0 : Number(begin % this.#size);
    const size = wrapped ? Number(next % this.#size) : Number(next - begin);
    if (size < ID_SIZE || start + size > Number(this.#size)) return undefined;
    const { space } = this.#kernel;
    const at = this.#data + start;
    const bytes = space.bytes(at + ID_SIZE, Math.min(length, size - ID_SIZE, MAX_TEXT));
    if (bytes === undefined || space.u64(at) !== id) return undefined;
    return Buffer.from(bytes.buffer).toString("utf8");
  }
}
