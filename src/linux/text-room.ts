const ROOM = 64 * 2 ** 20;

/**
 * How much text of one kind a view still takes. Each text is bounded by itself, but a forged list
 * may hold millions of them; a guest's own stay far below (100,000 paths of 100 bytes are 10 MB).
 */
export class TextRoom {
  #left: number;

  /** In bytes or characters; 64 MiB unless told. */
  constructor(room: number = ROOM) {
    this.#left = room;
  }

  /** Takes room for a text; false where there is none left. */
  take(length: number): boolean {
    this.#left -= length;
    return this.#left >= 0;
  }

  /** Some text was left out for want of room. */
  get exhausted(): boolean {
    return this.#left < 0;
  }
}
