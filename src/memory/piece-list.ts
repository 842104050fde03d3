/**
 * Pieces in the order in which they were found: `length` bytes at `start` of one address space
 * lie at `offset` of another.
 */
export class PieceList {
  #values = new Float64Array(3 * 64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(start: number, length: number, offset: number): void {
    if (this.#count * 3 === this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values.set([start, start + length, offset], this.#count++ * 3);
  }

  /** Adds a piece, or makes the last one longer if this one continues it. */
  addOrExtend(start: number, length: number, offset: number): void {
    const last = this.#count - 1;
    const continues =
      last >= 0 &&
      this.end(last) === start &&
      this.offset(last) + (start - this.start(last)) === offset;
    if (continues) this.#values[last * 3 + 1] = start + length;
    else this.add(start, length, offset);
  }

  start(index: number): number {
    return this.#values[index * 3];
  }

  end(index: number): number {
    return this.#values[index * 3 + 1];
  }

  offset(index: number): number {
    return this.#values[index * 3 + 2];
  }

  /** Indices by start, earlier ones first where starts are equal. */
  order(): Uint32Array {
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    let sorted = true;
    for (let index = 1; index < this.#count && sorted; index++) {
      sorted = this.start(index - 1) <= this.start(index);
    }
    return sorted ? order : order.toSorted((a, b) => this.start(a) - this.start(b) || a - b);
  }

  overlaps(order: Uint32Array): boolean {
    for (let index = 1; index < order.length; index++) {
      if (this.end(order[index - 1]) > this.start(order[index])) return true;
    }
    return false;
  }
}
