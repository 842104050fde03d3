import { InvalidArgumentError, Option } from "commander";
import type { CommandIo } from "./command.ts";
import { onInterrupt, pause } from "./interrupt.ts";
import { write } from "./output.ts";

/** What is shown at one moment: lines that stay, and lines that scroll. */
export type Frame = { readonly head: readonly string[]; readonly body: readonly string[] };

export type WatchOptions = {
  readonly intervalMs: number;
  /** Where keys come from; standard input unless told. */
  readonly input?: NodeJS.ReadStream;
};

const DEFAULT_SECONDS = 2;
const SHORTEST_SECONDS = 0.1;
const LONGEST_SECONDS = 86_400;

/** `--watch [SECONDS]`, whose value is the interval in milliseconds. */
export function watchOption(): Option {
  return new Option("-w, --watch [seconds]", "show it again and again, as top does; q leaves")
    .preset(String(DEFAULT_SECONDS))
    .argParser((text: string) => {
      const seconds = Number(text);
      if (!(seconds >= SHORTEST_SECONDS && seconds <= LONGEST_SECONDS)) {
        throw new InvalidArgumentError(
          `It is a number of seconds from ${SHORTEST_SECONDS} to ${LONGEST_SECONDS}.`,
        );
      }
      return seconds * 1000;
    });
}

/**
 * Shows a frame, waits, shows the next, until `q`, Ctrl-C or a signal. On a terminal it takes the
 * alternate screen and gives it back whatever happens; elsewhere the frames follow one another
 * with an empty line between. An error of `frame` ends it and is thrown on.
 */
export async function watch(
  io: CommandIo,
  options: WatchOptions,
  frame: () => Promise<Frame>,
): Promise<void> {
  using interruption = onInterrupt();
  if (io.stdout.isTTY !== true) return await follow(io, options, frame, interruption.signal);
  using screen = new Screen(io, options.input ?? process.stdin);
  const signal = AbortSignal.any([interruption.signal, screen.left]);
  while (!signal.aborted) {
    screen.show(await frame());
    await pause(options.intervalMs, signal);
  }
}

async function follow(
  io: CommandIo,
  options: WatchOptions,
  frame: () => Promise<Frame>,
  signal: AbortSignal,
): Promise<void> {
  for (let first = true; !signal.aborted; first = false) {
    const { head, body } = await frame();
    await write(io.stdout, `${first ? "" : "\n"}${[...head, ...body].join("\n")}\n`);
    await pause(options.intervalMs, signal);
  }
}

// xterm's control sequences: alternate screen, cursor, home, erase to the end of line and screen.
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const ERASE_LINE = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

/** The alternate screen, with keys for scrolling and leaving. */
class Screen implements Disposable {
  readonly #io: CommandIo;
  readonly #input: NodeJS.ReadStream;
  readonly #left = new AbortController();
  #frame: Frame = { head: [], body: [] };
  #scrolled = 0;

  constructor(io: CommandIo, input: NodeJS.ReadStream) {
    this.#io = io;
    this.#input = input;
    io.stdout.write(ENTER);
    process.on("exit", this.#giveBack);
    io.stdout.on("resize", this.#draw);
    if (input.isTTY) {
      input.setRawMode(true);
      input.on("data", this.#key).resume();
    }
  }

  get left(): AbortSignal {
    return this.#left.signal;
  }

  show(frame: Frame): void {
    this.#frame = frame;
    this.#draw();
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#giveBack);
    this.#io.stdout.off("resize", this.#draw);
    if (this.#input.isTTY) this.#input.off("data", this.#key).pause();
    this.#giveBack();
  }

  readonly #giveBack = (): void => {
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#io.stdout.write(LEAVE);
  };

  readonly #draw = (): void => {
    const { head, body } = this.#frame;
    const rows = this.#io.stdout.rows || 24;
    const room = Math.max(rows - head.length, 1);
    this.#scrolled = Math.max(0, Math.min(this.#scrolled, body.length - room));
    const lines = [...head, ...body.slice(this.#scrolled, this.#scrolled + room)];
    const text = lines.slice(0, rows).map((line) => line + ERASE_LINE);
    this.#io.stdout.write(HOME + text.join("\r\n") + ERASE_BELOW);
  };

  readonly #key = (data: Buffer | string): void => {
    const page = Math.max((this.#io.stdout.rows || 24) - this.#frame.head.length - 1, 1);
    const steps: Readonly<Record<string, number>> = {
      "\x1b[A": -1,
      "\x1b[B": 1,
      "\x1bOA": -1,
      "\x1bOB": 1,
      k: -1,
      j: 1,
      "\x1b[5~": -page,
      "\x1b[6~": page,
      " ": page,
      "\x1b[H": Number.NEGATIVE_INFINITY,
      "\x1b[F": Number.MAX_SAFE_INTEGER,
    };
    const key = String(data);
    if (key === "q" || key === "\x03" || key === "\x04") return this.#left.abort();
    const step = steps[key];
    if (step === undefined) return;
    this.#scrolled += step;
    this.#draw();
  };
}
