import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";

/**
 * Hears what others do to a guest that stands still to be copied: its monitors serve other people
 * too. What was copied while it ran on or was reset is of no one moment.
 */
export class Disturbance implements Disposable {
  readonly #heard: DisposableStack = new DisposableStack();
  #resumed = 0;
  #reset = 0;

  /** From the guest's stop on. */
  constructor(monitor: QmpConnection) {
    this.#heard.use(monitor.on("RESUME", () => this.#resumed++));
    this.#heard.use(monitor.on("RESET", () => this.#reset++));
  }

  /**
   * Asked when the answer to our own last command is there: all that QEMU told before has been heard
   * by then. `resumed` is how often we let it run on; where it ran already, QEMU tells a RESUME of
   * its own for it (softmmu/cpus.c, vm_prepare_start). Throws KVMSEC_GUEST_DISTURBED.
   */
  mustBeNone(resumed: number): void {
    if (this.#reset > 0) throw disturbed("reset it");
    if (this.#resumed > resumed) throw disturbed("let it run on");
  }

  [Symbol.dispose](): void {
    this.#heard.dispose();
  }
}

function disturbed(what: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_GUEST_DISTURBED",
    `While the guest stood still to be copied, somebody else ${what}.`,
    { hint: "Nothing of the copy is kept. Try again once nobody else works on it." },
  );
}
