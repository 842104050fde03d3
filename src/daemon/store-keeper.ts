import { Store } from "../store/store.ts";
import type { Home } from "../vm/home.ts";

/** So long after an event others may have followed, and one transaction takes them all. */
const LATER_MS = 500;

/**
 * Keeps the store near the log while the guard runs. That it cannot be written is told once and
 * harms nobody: whoever opens it catches up.
 */
export class StoreKeeper implements Disposable {
  readonly #home: Home;
  readonly #onTrouble: (text: string) => void;
  #store: Store | undefined;
  #timer: NodeJS.Timeout | undefined;
  #told = false;

  constructor(home: Home, onTrouble: (text: string) => void) {
    this.#home = home;
    this.#onTrouble = onTrouble;
    this.stale();
  }

  /** The log has grown. */
  stale(): void {
    this.#timer ??= setTimeout(() => this.#catchUp(), LATER_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#catchUp();
    this.#store?.[Symbol.dispose]();
  }

  #catchUp(): void {
    this.#timer = undefined;
    try {
      if (this.#store === undefined) this.#store = Store.open(this.#home);
      else this.#store.catchUp();
      this.#told = false;
    } catch (error) {
      this.#store?.[Symbol.dispose]();
      this.#store = undefined;
      if (!this.#told) this.#onTrouble(error instanceof Error ? error.message : String(error));
      this.#told = true;
    }
  }
}
