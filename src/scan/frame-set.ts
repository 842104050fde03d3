const PAGE = 4096;
const FRAMES = 1 << 15;

/** A set of frames of guest memory, a bit each. */
export class FrameSet {
  readonly #parts = new Map<number, Uint8Array>();

  /** Adds the frames of a stretch. */
  add(physical: number, size: number): void {
    for (let at = Math.floor(physical / PAGE); at * PAGE < physical + size; at++) {
      const part = this.#part(Math.floor(at / FRAMES));
      const bit = at % FRAMES;
      part[bit >> 3] = part[bit >> 3]! | (1 << (bit & 7));
    }
  }

  has(physical: number): boolean {
    const frame = Math.floor(physical / PAGE);
    const part = this.#parts.get(Math.floor(frame / FRAMES));
    const bit = frame % FRAMES;
    return part !== undefined && (part[bit >> 3]! & (1 << (bit & 7))) !== 0;
  }

  #part(index: number): Uint8Array {
    const known = this.#parts.get(index);
    if (known !== undefined) return known;
    const part = new Uint8Array(FRAMES / 8);
    this.#parts.set(index, part);
    return part;
  }
}
