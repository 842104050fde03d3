import type { CommandIo } from "./command.ts";
import { colours } from "./colour.ts";
import { durationText } from "./output.ts";
import { fit, printable } from "./text.ts";

/** Says on standard error what is being done, so that standard output stays the answer's. */
export interface Progress extends Disposable {
  /** Ends the step before, with its time, and begins the next. */
  step(text: string): void;
  /** What the step is at: `42 %`, a file's name. Shown on terminals only. */
  detail(text: string): void;
  /** Ends the last step. */
  done(): void;
}

const ERASE_LINE = "\r\x1b[K";
/** A terminal's line is drawn anew at most so often. */
const REDRAW_MS = 50;

/**
 * A line per step. On a terminal the step's line shows what it is at, and turns into its time when
 * it is done; elsewhere each step is one line when it begins.
 */
export function progress(io: Pick<CommandIo, "stderr">, now = () => performance.now()): Progress {
  return io.stderr.isTTY === true ? new TerminalProgress(io, now) : new PlainProgress(io);
}

class PlainProgress implements Progress {
  readonly #io: Pick<CommandIo, "stderr">;

  constructor(io: Pick<CommandIo, "stderr">) {
    this.#io = io;
  }

  step(text: string): void {
    this.#io.stderr.write(`${printable(text)}\n`);
  }

  detail(): void {}

  done(): void {}

  [Symbol.dispose](): void {}
}

class TerminalProgress implements Progress {
  readonly #io: Pick<CommandIo, "stderr">;
  readonly #now: () => number;
  #text: string | undefined;
  #began = 0;
  #drawn = 0;

  constructor(io: Pick<CommandIo, "stderr">, now: () => number) {
    this.#io = io;
    this.#now = now;
  }

  step(text: string): void {
    this.done();
    this.#text = printable(text);
    this.#began = this.#now();
    this.#draw(this.#text);
  }

  detail(text: string): void {
    if (this.#text === undefined || this.#now() - this.#drawn < REDRAW_MS) return;
    this.#draw(`${this.#text}  ${printable(text)}`);
  }

  done(): void {
    if (this.#text === undefined) return;
    const paint = colours(this.#io.stderr);
    const time = paint.dim(durationText(this.#now() - this.#began));
    this.#io.stderr.write(`${ERASE_LINE}${paint.green("✓")} ${this.#text}  ${time}\n`);
    this.#text = undefined;
  }

  /** A step that was left by an error keeps its line, without the tick. */
  [Symbol.dispose](): void {
    if (this.#text === undefined) return;
    this.#io.stderr.write(`${ERASE_LINE}${colours(this.#io.stderr).red("✗")} ${this.#text}\n`);
    this.#text = undefined;
  }

  #draw(text: string): void {
    this.#drawn = this.#now();
    this.#io.stderr.write(`${ERASE_LINE}… ${fit(text, (this.#io.stderr.columns || 80) - 3)}`);
  }
}
