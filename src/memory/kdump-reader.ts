import { PAGE_SIZE } from "../base/address.ts";
import { PAGE_DESCRIPTOR_SIZE, parsePageDescriptor } from "../formats/kdump.ts";
import type { PageDescriptor } from "../formats/kdump.ts";
import { u32, u64 } from "../formats/little-endian.ts";
import { clipRanges } from "./ranges.ts";
import type { ByteSource } from "./byte-source.ts";
import type { FrameBitmap } from "./kdump-bitmap.ts";
import { decodePage } from "./page-codecs.ts";
import type { PageReader } from "./page-reader.ts";
import type { PhysicalRange } from "./physical-memory.ts";
import { ReadAhead } from "./read-ahead.ts";
import { ZeroForm } from "./zero-form.ts";

/** No codec makes a page larger than this; writers store those that do not shrink as they are. */
const MAX_DATA = 2 * PAGE_SIZE;
/** `populated` counts zero pages in, where fewer than these lie between others. */
const SMALL_GAP = 32 * PAGE_SIZE;

/** All codecs make less than this of a page of zeros. */
const MAX_ZERO_FORM = 256;
/** Where the flags are in a descriptor. */
const FLAGS_AT = 12;

export type KdumpLayout = {
  /** Frames with a descriptor: the second bitmap. */
  readonly present: FrameBitmap;
  /** Frames that are RAM: the first bitmap. Those without a descriptor are zero, or left out. */
  readonly ram: FrameBitmap;
  readonly excludedAreZero: boolean;
  readonly descriptorsAt: number;
  /** Frames of this file; another range than all of them in a part of a split dump. */
  readonly from: number;
  readonly to: number;
};

/** The pages of a kdump-compressed file. */
export class KdumpReader implements PageReader {
  readonly ranges: readonly PhysicalRange[];
  readonly #source: ByteSource;
  readonly #layout: KdumpLayout;
  readonly #firstRank: number;
  readonly #descriptors: ReadAhead;
  readonly #data: ReadAhead;
  readonly #field = new Uint8Array(PAGE_DESCRIPTOR_SIZE);
  readonly #scratch = new Uint8Array(MAX_DATA);
  readonly #page = new Uint8Array(PAGE_SIZE);
  /** Position of the one zero page that all zero pages share, or −1. */
  readonly #zeroAt: number;

  /** For writers that compress each zero page anew. */
  readonly #zeroForm = new ZeroForm();

  constructor(source: ByteSource, layout: KdumpLayout) {
    this.#source = source;
    this.#layout = layout;
    this.#firstRank = layout.present.rank(layout.from);
    this.#descriptors = new ReadAhead(source, 16 * 1024, 64);
    this.#data = new ReadAhead(source, 256 * 1024, 2);
    this.#zeroAt = this.#findZeroPage();
    const shown = layout.excludedAreZero ? layout.ram : layout.present;
    this.ranges = shown.ranges(layout.from, layout.to);
  }

  read(physical: number, target: Uint8Array): number {
    const single = target.length <= PAGE_SIZE;
    let done = 0;
    while (done < target.length) {
      const at = physical + done;
      const within = at % PAGE_SIZE;
      const length = Math.min(PAGE_SIZE - within, target.length - done);
      const part = target.subarray(done, done + length);
      const whole = length === PAGE_SIZE;
      const page = whole ? part : this.#page;
      if (!this.#decode((at - within) / PAGE_SIZE, page, single)) break;
      if (!whole) part.set(page.subarray(within, within + length));
      done += length;
    }
    return done;
  }

  /** The ranges without zero pages, which share one copy in the file. */
  populated(): PhysicalRange[] {
    const { present, from, to } = this.#layout;
    const found: PhysicalRange[] = [];
    let frame = from;
    for (const batch of this.#descriptorBatches()) {
      for (let at = 0; at < batch.length; at += PAGE_DESCRIPTOR_SIZE, frame++) {
        frame = present.next(frame, to, true);
        if (u64(batch, at) === this.#zeroAt && u32(batch, at + FLAGS_AT) === 0) continue;
        const physical = frame * PAGE_SIZE;
        const last = found.at(-1);
        if (last === undefined || physical - last.start - last.size > SMALL_GAP) {
          found.push({ start: physical, size: PAGE_SIZE });
        } else {
          const size = physical + PAGE_SIZE - last.start;
          found[found.length - 1] = { start: last.start, size };
        }
      }
    }
    return clipRanges(this.ranges, found);
  }

  /** All descriptors in order, many at a time; ends early where the file does. */
  *#descriptorBatches(): Generator<Uint8Array> {
    const { present, to, descriptorsAt } = this.#layout;
    const end = descriptorsAt + (present.rank(to) - this.#firstRank) * PAGE_DESCRIPTOR_SIZE;
    const buffer = new Uint8Array(4096 * PAGE_DESCRIPTOR_SIZE);
    for (let at = descriptorsAt; at < end; at += buffer.length) {
      const wanted = buffer.subarray(0, Math.min(buffer.length, end - at));
      const got = this.#source.read(at, wanted);
      yield wanted.subarray(0, got - (got % PAGE_DESCRIPTOR_SIZE));
      if (got < wanted.length) return;
    }
  }

  /** The highest position that any of the last pages' data reaches, to tell a truncated file. */
  dataEnd(): number {
    const { to, from } = this.#layout;
    let end = 0;
    for (let frame = to - 1, seen = 0; frame >= from && seen < 4096; frame--) {
      const page = this.#descriptor(frame);
      if (page === undefined) continue;
      seen++;
      end = Math.max(end, page.offset + page.size);
    }
    return end;
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
  }

  #decode(frame: number, page: Uint8Array, single: boolean): boolean {
    if (!this.#layout.present.has(frame)) {
      page.fill(0);
      return this.#layout.excludedAreZero && this.#layout.ram.has(frame);
    }
    const descriptor = this.#descriptor(frame);
    if (descriptor === undefined) return false;
    if (this.#isZero(descriptor)) {
      page.fill(0);
      return true;
    }
    const { offset, size, flags } = descriptor;
    // An offset of 0 marks the pages that an incomplete dump lost.
    if (offset === 0 || size === 0 || size > MAX_DATA) return false;
    const data = this.#scratch.subarray(0, size);
    const read = single ? this.#source.read(offset, data) === size : this.#data.read(offset, data);
    if (!read) return false;
    if (this.#zeroForm.matches(data, flags)) {
      page.fill(0);
      return true;
    }
    if (!decodePage(flags, data, page)) return false;
    if (size <= MAX_ZERO_FORM) this.#zeroForm.learn(data, flags, page);
    return true;
  }

  #descriptor(frame: number): PageDescriptor | undefined {
    const { present, descriptorsAt } = this.#layout;
    if (!present.has(frame)) return undefined;
    const index = present.rank(frame) - this.#firstRank;
    const at = descriptorsAt + index * PAGE_DESCRIPTOR_SIZE;
    return this.#descriptors.read(at, this.#field)
      ? parsePageDescriptor(this.#field, 0)
      : undefined;
  }

  #isZero({ offset, flags }: PageDescriptor): boolean {
    return offset === this.#zeroAt && flags === 0;
  }

  /** Writers put the zero page right behind the descriptors; believed only if it is one. */
  #findZeroPage(): number {
    const { present, descriptorsAt, to } = this.#layout;
    const at = descriptorsAt + (present.rank(to) - this.#firstRank) * PAGE_DESCRIPTOR_SIZE;
    const got = this.#source.read(at, this.#page);
    return got === PAGE_SIZE && this.#page.every((byte) => byte === 0) ? at : -1;
  }
}
