/** What the user's typing asks for, beside the bytes that go to the guest. */
export type EscapeAction = "leave" | "help";

export type Typed = { readonly bytes: Uint8Array; readonly action?: EscapeAction };

const TILDE = 0x7e;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/**
 * Finds `~.` (leave) and `~?` (help) at the beginning of a line, as ssh does; `~~` types one tilde.
 * All else goes through unchanged.
 */
export class EscapeReader {
  #atLineStart = true;
  #tilde = false;

  /** What to send of these keystrokes; stops at the first action, the rest of the piece is dropped. */
  read(keys: Uint8Array): Typed {
    const bytes: number[] = [];
    for (const key of keys) {
      const action = this.#key(key, bytes);
      if (action !== undefined) return { bytes: Uint8Array.from(bytes), action };
    }
    return { bytes: Uint8Array.from(bytes) };
  }

  #key(key: number, bytes: number[]): EscapeAction | undefined {
    if (this.#tilde) {
      this.#tilde = false;
      if (key === 0x2e) return "leave";
      if (key === 0x3f) {
        this.#atLineStart = true;
        return "help";
      }
      if (key !== TILDE) bytes.push(TILDE);
    } else if (key === TILDE && this.#atLineStart) {
      this.#tilde = true;
      return undefined;
    }
    bytes.push(key);
    this.#atLineStart = key === CARRIAGE_RETURN || key === LINE_FEED;
    return undefined;
  }
}

export const escapeHelp = [
  "At the beginning of a line:",
  "  ~.   leave the console; the guest runs on",
  "  ~~   type one ~",
  "  ~?   this help",
];
