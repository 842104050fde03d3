import { closeSync, openSync } from "node:fs";

/** No request and no answer is longer. */
export const MAX_MESSAGE = 1 << 20;

/**
 * The guard's socket in a home, by a path that fits sockaddr_un.sun_path (108 bytes, unix(7))
 * however deep the home lies: through an open descriptor of its folder.
 */
export class ControlSocketPath implements Disposable {
  readonly #fd: number;
  readonly path: string;

  constructor(root: string) {
    this.#fd = openSync(root, "r");
    this.path = `/proc/self/fd/${this.#fd}/guard.sock`;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
