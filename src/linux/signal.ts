import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import type { Field } from "./struct-window.ts";
import { StructWindow } from "./struct-window.ts";

/** enum pid_type (include/linux/pid.h), since 4.19. */
const PIDTYPE_PGID = 2;
const PIDTYPE_SID = 3;
const TTY_NAME = 64;

/** What the threads of a process share. */
export type SignalState = {
  /** Threads, an exited leader among them. */
  readonly threads: number;
  readonly pgid: number;
  readonly sid: number;
  /** `pts/0`, `ttyS0`; undefined for none. */
  readonly tty: string | undefined;
  /** Nanoseconds that threads which have ended had run. */
  readonly endedRuntime: number;
};

/** Decodes `struct signal_struct` (include/linux/sched/signal.h). */
export class Signals {
  readonly #kernel: Kernel;
  readonly #window: StructWindow;
  readonly #threads: Field;
  readonly #pgid: Field;
  readonly #sid: Field;
  readonly #tty: Field;
  readonly #runtime: Field;
  readonly #number: Reader;
  readonly #ttyName: Reader;
  readonly #ttys = new Map<GuestVirtual, string | undefined>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#window = new StructWindow(kernel, "signal_struct");
    this.#threads = this.#window.field("nr_threads");
    this.#pgid = this.#window.field(`pids[${PIDTYPE_PGID}]`);
    this.#sid = this.#window.field(`pids[${PIDTYPE_SID}]`);
    this.#tty = this.#window.field("tty");
    this.#runtime = this.#window.field("sum_sched_runtime");
    this.#number = kernel.reader("pid", "numbers[0].nr");
    this.#ttyName = kernel.reader("tty_struct", "name");
  }

  decode(signal: GuestVirtual): SignalState {
    this.#window.load(signal);
    const tty = this.#tty();
    return {
      threads: this.#threads(),
      pgid: this.#pidNumber(this.#pgid()),
      sid: this.#pidNumber(this.#sid()),
      tty: tty < 0 ? this.#ttyText(tty) : undefined,
      endedRuntime: this.#runtime(),
    };
  }

  forget(): void {
    this.#ttys.clear();
  }

  /** 0 where there is none, as for kernel threads. */
  #pidNumber(pid: GuestVirtual): number {
    return pid === 0 ? 0 : this.#number(pid);
  }

  /** The driver calls a pseudo-terminal `pts0`; its device is /dev/pts/0. */
  #ttyText(tty: GuestVirtual): string | undefined {
    if (this.#ttys.has(tty)) return this.#ttys.get(tty);
    const name = this.#kernel.space.string(this.#ttyName(tty), TTY_NAME);
    const text = name?.replace(/^pts(?=\d)/, "pts/");
    this.#ttys.set(tty, text);
    return text;
  }
}
