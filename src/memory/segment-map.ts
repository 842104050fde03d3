import type { PhysicalRange } from "./physical-memory.ts";
import { PieceList } from "./piece-list.ts";

/**
 * Sorted, disjoint pieces, in typed arrays because hostile or fragmented files hold millions.
 * Where pieces overlap, those added later win.
 */
export class SegmentMap {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  readonly offsets: Float64Array;
  #last = 0;

  private constructor(starts: Float64Array, ends: Float64Array, offsets: Float64Array) {
    this.starts = starts;
    this.ends = ends;
    this.offsets = offsets;
  }

  static of(list: PieceList): SegmentMap {
    const order = list.order();
    return list.overlaps(order) ? SegmentMap.#resolve(list, order) : SegmentMap.#copy(list, order);
  }

  get count(): number {
    return this.starts.length;
  }

  /** One more than the highest address, or 0. */
  get end(): number {
    return this.count === 0 ? 0 : this.ends[this.count - 1];
  }

  /** Index of the piece that holds `address`, else of the first one after it. */
  indexAt(address: number): number {
    const last = this.#last;
    if (last < this.count && address >= this.starts[last] && address < this.ends[last]) return last;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ends[middle] > address) high = middle;
      else low = middle + 1;
    }
    this.#last = low;
    return low;
  }

  /** The addresses as page-aligned ranges; a page only partly there is left out. */
  pageRanges(pageSize: number): PhysicalRange[] {
    const ranges: PhysicalRange[] = [];
    for (let index = 0; index < this.count;) {
      const first = this.starts[index];
      let end = this.ends[index++];
      while (index < this.count && this.starts[index] === end) end = this.ends[index++];
      const start = Math.ceil(first / pageSize) * pageSize;
      const size = Math.floor(end / pageSize) * pageSize - start;
      if (size > 0) ranges.push({ start, size });
    }
    return ranges;
  }

  static #copy(list: PieceList, order: Uint32Array): SegmentMap {
    return new SegmentMap(
      Float64Array.from(order, (index) => list.start(index)),
      Float64Array.from(order, (index) => list.end(index)),
      Float64Array.from(order, (index) => list.offset(index)),
    );
  }

  /** Sweeps over all borders; between two of them the piece that was added last wins. */
  static #resolve(list: PieceList, order: Uint32Array): SegmentMap {
    const out = new PieceList();
    const open = new LatestFirst();
    let at = 0;
    const emitUntil = (limit: number): void => {
      while (at < limit && open.size > 0) {
        const top = open.top;
        const end = Math.min(list.end(top), limit);
        if (end > at) {
          out.addOrExtend(at, end - at, list.offset(top) + at - list.start(top));
          at = end;
        }
        if (list.end(top) <= at) open.pop();
      }
    };
    for (const index of order) {
      emitUntil(list.start(index));
      at = list.start(index);
      open.push(index);
    }
    emitUntil(Number.POSITIVE_INFINITY);
    return SegmentMap.#copy(out, out.order());
  }
}

/** A binary heap of piece numbers, the highest on top. */
class LatestFirst {
  readonly #heap: number[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get top(): number {
    return this.#heap[0];
  }

  push(value: number): void {
    const heap = this.#heap;
    let at = heap.push(value) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent] >= value) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = value;
  }

  pop(): void {
    const heap = this.#heap;
    const value = heap.pop();
    if (value === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child + 1 < heap.length && heap[child + 1] > heap[child]) child++;
      if (child >= heap.length || heap[child] <= value) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = value;
  }
}
