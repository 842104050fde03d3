import type { ReadStream } from "node:tty";
import type { ConsoleLink } from "../vm/console-link.ts";
import type { CommandIo } from "./command.ts";
import { EscapeReader, escapeHelp } from "./console-escape.ts";
import { onInterrupt } from "./interrupt.ts";

/** Why a session at the console ended. */
export type SessionEnd = "left" | "guest-ended" | "input-ended" | "interrupted";

type Input = NodeJS.ReadStream | ReadStream;

/**
 * Connects the terminal with a guest's console until the user leaves with `~.` or the guest ends.
 * The terminal is in raw mode for that time, so that Ctrl-C and the like reach the guest, and is
 * put back however it ends. Where the input is no terminal it is copied until its end.
 */
export async function consoleSession(
  link: ConsoleLink,
  io: CommandIo,
  input: Input = process.stdin,
): Promise<SessionEnd> {
  using interruption = onInterrupt();
  const raw = input.isTTY ? rawMode(input) : undefined;
  try {
    return await copyBothWays(link, io, input, interruption.signal);
  } finally {
    input.pause();
    raw?.[Symbol.dispose]();
  }
}

function copyBothWays(
  link: ConsoleLink,
  io: CommandIo,
  input: Input,
  signal: AbortSignal,
): Promise<SessionEnd> {
  return new Promise((resolve) => {
    const escapes = new EscapeReader();
    link.onOutput((bytes) => io.stdout.write(bytes));
    input.on("data", (keys: Buffer) => {
      const { bytes, action } = input.isTTY
        ? escapes.read(keys)
        : { bytes: keys, action: undefined };
      if (bytes.length > 0) link.write(bytes);
      if (action === "leave") resolve("left");
      if (action === "help") io.stderr.write(`\r\n${escapeHelp.join("\r\n")}\r\n`);
    });
    input.on("end", () => resolve("input-ended"));
    signal.addEventListener("abort", () => resolve("interrupted"));
    void link.ended.then(() => resolve("guest-ended"));
    input.resume();
  });
}

/** Raw mode until disposed, and never longer than the process. */
function rawMode(input: Input): Disposable {
  const restore = () => void input.setRawMode(false);
  input.setRawMode(true);
  process.once("exit", restore);
  return {
    [Symbol.dispose]() {
      process.off("exit", restore);
      restore();
    },
  };
}
