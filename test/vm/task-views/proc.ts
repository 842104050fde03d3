import { readFileSync } from "node:fs";
import type { Guest } from "../harness/guest.ts";
import { helperProgram } from "../harness/helper-program.ts";

/** What /proc says of the processes of a guest: path below /proc → bytes, or where a link leads. */
export class Proc {
  readonly #files: ReadonlyMap<string, Buffer>;

  constructor(files: ReadonlyMap<string, Buffer>) {
    this.#files = files;
  }

  /** Every process that was there, by rising pid. */
  get pids(): number[] {
    const pids = [...this.#files.keys()].map((path) => Number(path.split("/")[0]));
    return [...new Set(pids)].toSorted((a, b) => a - b);
  }

  bytes(path: string): Buffer | undefined {
    return this.#files.get(path);
  }

  text(path: string): string | undefined {
    return this.#files.get(path)?.toString("utf8");
  }

  /** Names and contents of what is directly in a folder, as `12/fd/`. */
  folder(prefix: string): Map<string, string> {
    const inside = [...this.#files].filter(([path]) => path.startsWith(prefix));
    return new Map(inside.map(([path, data]) => [path.slice(prefix.length), `${data}`]));
  }

  /** A line of /proc/PID/status or fdinfo: `Uid` → ["0", "0", "0", "0"]. */
  words(path: string, key: string): string[] | undefined {
    const line = this.text(path)
      ?.split("\n")
      .find((each) => each.startsWith(`${key}:`));
    return line
      ?.slice(key.length + 1)
      .trim()
      .split(/\s+/);
  }

  /** Fields of /proc/PID/stat from the third on (state), whatever is in the name. */
  stat(path: string): string[] | undefined {
    const text = this.text(path);
    return text
      ?.slice(text.lastIndexOf(")") + 2)
      .trim()
      .split(" ");
  }
}

/** Reads files of /proc/PID in one go: `proc(guest, "status", "fd/")`. */
export async function readProc(guest: Guest, ...files: readonly string[]): Promise<Proc> {
  const installed = await guest.attempt("test -x /usr/sbin/proc-dump");
  if (installed.status !== 0) {
    const program = readFileSync(await helperProgram("proc-dump"));
    await guest.put("/usr/sbin/proc-dump", program, 0o755);
  }
  const { stdout } = await guest.attempt(`exec proc-dump ${files.join(" ")}`);
  return new Proc(parse(stdout));
}

function parse(dump: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at < dump.length;) {
    const end = dump.indexOf(10, at);
    const [path, length] = dump.toString("utf8", at, end).split(" ");
    files.set(path, dump.subarray(end + 1, end + 1 + Number(length)));
    at = end + 2 + Number(length);
  }
  return files;
}
