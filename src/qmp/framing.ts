import { KvmsecError } from "../base/errors.ts";
import { qmpErrorCodes } from "./errors.ts";

/** A compromised QEMU must not fill the monitor's memory; query-qmp-schema is 0.2 MB. */
const MAX_MESSAGE_LENGTH = 32 * 1024 * 1024;

/**
 * Cuts what QEMU sends into JSON messages. Each message is one line, or, where the monitor was
 * started with pretty=on, the lines from a lone `{` to a lone `}`.
 */
export class MessageFramer {
  /** The unfinished line, in the pieces that it came in. */
  #partial: string[] = [];
  #partialLength = 0;
  #pretty: string[] = [];
  #prettyLength = 0;

  /** The messages that this piece of text completes; throws where it is no QMP. */
  push(text: string): unknown[] {
    const messages: unknown[] = [];
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      this.#partial.push(text.slice(start, end));
      const line = this.#partial.join("").trimEnd();
      this.#partial = [];
      this.#partialLength = 0;
      start = end + 1;
      const message = this.#line(line);
      if (message !== undefined) messages.push(parse(message));
    }
    if (start < text.length) {
      this.#partial.push(text.slice(start));
      this.#partialLength += text.length - start;
      this.#limit(this.#partialLength);
    }
    return messages;
  }

  #line(line: string): string | undefined {
    if (this.#pretty.length === 0 && line !== "{") return line === "" ? undefined : line;
    this.#pretty.push(line);
    this.#prettyLength += line.length;
    this.#limit(this.#prettyLength);
    if (line !== "}") return undefined;
    const message = this.#pretty.join("\n");
    this.#pretty = [];
    this.#prettyLength = 0;
    return message;
  }

  #limit(length: number): void {
    if (length <= MAX_MESSAGE_LENGTH) return;
    throw new KvmsecError(qmpErrorCodes.protocol, "The monitor sent a message without an end.");
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KvmsecError(
      qmpErrorCodes.protocol,
      `The other end does not speak QMP: it sent ${JSON.stringify(text.slice(0, 60))}.`,
      { hint: "Give the path of a socket that QEMU was started with as -qmp unix:PATH.", cause },
    );
  }
}

declare global {
  interface JSON {
    /** The text as it is, where JSON.stringify meets the value (ECMAScript JSON.parse source text access). */
    rawJSON(text: string): unknown;
  }
}

/** One command as QMP wants it; a bigint is sent as the whole number that it is. */
export function formatCommand(execute: string, id: number, given: object | undefined): string {
  const message = given === undefined ? { execute, id } : { execute, id, arguments: given };
  const text = JSON.stringify(message, (_key, value: unknown) =>
    typeof value === "bigint" ? JSON.rawJSON(value.toString()) : value,
  );
  return `${text}\n`;
}
