import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";

/**
 * Notices that a walk runs in a circle, without remembering where it was (Brent, "An improved Monte
 * Carlo factorization algorithm", 1980): at the latest after three times the way to the circle and
 * around it. What the walk yields until then may repeat itself.
 */
export class CircleWatch {
  #mark: GuestVirtual = FAULT;
  #steps = 0;
  #limit = 2;

  /** Told of every node; true when it has been here before. */
  isBack(node: GuestVirtual): boolean {
    if (node === this.#mark) return true;
    if (++this.#steps === this.#limit) {
      this.#mark = node;
      this.#steps = 0;
      this.#limit *= 2;
    }
    return false;
  }
}
