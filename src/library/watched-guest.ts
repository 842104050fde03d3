import { KvmsecError, exitStatus, usageError } from "../base/errors.ts";
import { Reasons } from "../base/reasons.ts";
import type { Check } from "../checks/check.ts";
import { checks as allChecks } from "../checks/registry.ts";
import { sweep } from "../checks/sweep.ts";
import type { Sweep } from "../checks/sweep.ts";
import { findKernelFiles } from "../files/kernel-files.ts";
import type { FileOptions, KernelFiles } from "../files/kernel-files.ts";
import type { Kernel } from "../linux/kernel.ts";
import { readInfo } from "../views/info.ts";
import type { Info } from "../views/info.ts";
import { nothingOf } from "../views/view.ts";
import type { View } from "../views/view.ts";
import type { Guest } from "../vm/guest.ts";
import { readProcessors } from "../vm/processors.ts";
import { onRunningKernel } from "../vm/running-kernel.ts";

/** Rows between two turns of the event loop, so that a long view does not block a program. */
const ROWS_A_TURN = 256;

/** What `rows` may be asked. */
export type RowsOptions<Options> = {
  /** Options of the view, such as `{ pid: 1 }` for maps. */
  readonly options?: Options;
  /** Told why a part could not be read. Without it the rows end with KVMSEC_VIEW_INCOMPLETE. */
  readonly problem?: (reason: string) => void;
};

/** A guest that is looked into from a program: the library's face of the command line's views. */
export class WatchedGuest implements Disposable {
  /** The decoded kernel, for whoever needs more than the views: symbols, types, memory. */
  readonly kernel: Kernel;
  readonly #guest: Guest;
  #files: { readonly given: string; readonly found: KernelFiles } | undefined;

  constructor(guest: Guest) {
    this.#guest = guest;
    this.kernel = guest.kernel;
  }

  /** False once the watched process has ended. */
  get alive(): boolean {
    return this.#guest.alive;
  }

  /** What the guest is: kernel, paging, memory, clock. Throws KVMSEC_TARGET_GONE. */
  info(): Info {
    this.#now();
    return readInfo(this.kernel);
  }

  /**
   * The rows of any view (`ps`, `sockets`, … of this package), read as the guest is now; none of what
   * its kernel was built without.
   * Throws KVMSEC_TARGET_GONE, and KVMSEC_VIEW_INCOMPLETE at the end if nobody listens to problems.
   */
  async *rows<Row, Options extends object>(
    view: View<Row, Options>,
    { options, problem }: RowsOptions<Options> = {},
  ): AsyncGenerator<Row, void, undefined> {
    this.#now();
    if (nothingOf(view, this.kernel) !== undefined) return;
    const reasons = new Reasons();
    const told = problem ?? ((reason: string): void => reasons.add(reason));
    let count = 0;
    for (const row of view.read(this.kernel, options ?? ({} as Options), told)) {
      yield row;
      if (++count % ROWS_A_TURN === 0) await nextTurn();
    }
    this.#guest.requireAlive();
    if (reasons.any) {
      throw new KvmsecError(
        "KVMSEC_VIEW_INCOMPLETE",
        `Not all could be read: ${reasons.all.join("; ")}.`,
        {
          hint: "Pass `problem` to take what there is.",
          exit: exitStatus.partial,
        },
      );
    }
  }

  /**
   * One sweep of the checks with these ids, or of all. Files of the guest's kernel and modules are
   * looked for at the first, as `files` says or on its disks; the processors are asked each time, where
   * they can be. Throws KVMSEC_CHECK_UNKNOWN, KVMSEC_KERNEL_FILE_UNFIT,
   * KVMSEC_GUEST_BOOTING.
   */
  async check(ids?: readonly string[], files: FileOptions = {}): Promise<Sweep> {
    this.#now();
    const chosen = ids === undefined ? allChecks : ids.map(checkOf);
    const given = JSON.stringify(files);
    if (this.#files?.given !== given) {
      this.#files = { given, found: findKernelFiles(this.#guest, files) };
    }
    const processors = await readProcessors(this.#guest);
    const host = { ...this.#files.found, ...processors };
    return onRunningKernel(this.#guest, () => sweep(this.kernel, chosen, host));
  }

  [Symbol.dispose](): void {
    this.#guest[Symbol.dispose]();
  }

  #now(): void {
    this.#guest.requireAlive();
    this.kernel.refresh();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function checkOf(id: string): Check {
  const check = allChecks.find((each) => each.id === id);
  if (check !== undefined) return check;
  throw usageError("KVMSEC_CHECK_UNKNOWN", `There is no check "${id}".`, "`checks` has them all.");
}
