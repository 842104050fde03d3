/** No codec here makes more of 64 KiB of zeros than this. */
const LARGEST = 4096;

/**
 * Knows how a dump's writer compressed zeros, once it has seen one case: the same bytes decode to
 * zeros again, so most of an idle guest's memory is told by a comparison.
 */
export class ZeroForm {
  #bytes = Buffer.alloc(0);
  #tag = 0;

  /** Whether `packed` is what decoded to zeros before. `tag` keeps codecs and sizes apart. */
  matches(packed: Uint8Array, tag: number): boolean {
    return packed.length === this.#bytes.length && tag === this.#tag && this.#bytes.equals(packed);
  }

  /** Remembers `packed` if it is small and all of `unpacked`, which it decoded to, is zero. */
  learn(packed: Uint8Array, tag: number, unpacked: Uint8Array): boolean {
    if (packed.length > LARGEST || packed.length === 0) return false;
    if (!unpacked.every((byte) => byte === 0)) return false;
    this.#bytes = Buffer.from(packed);
    this.#tag = tag;
    return true;
  }
}
