import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { searchPath } from "./command.ts";
import { aliveFile } from "./guest-home.ts";
import type { GuestPaths } from "./qemu-arguments.ts";

/**
 * A QEMU that dies with the thread that started it, however that ends (prctl PR_SET_PDEATHSIG).
 */
export class QemuProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #console: string;
  #complaints = "";

  constructor(paths: GuestPaths, args: readonly string[]) {
    const whole = [
      ["--no-fork", "--exclusive", aliveFile(paths.home)],
      ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"],
      args,
    ].flat();
    this.#child = spawn("flock", whole, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, PATH: searchPath() },
    });
    this.#console = paths.console;
    this.pid = this.#child.pid ?? 0;
    this.#child.stderr?.setEncoding("utf8");
    this.#child.stderr?.on("data", (text: string) => {
      this.#complaints += text;
    });
    this.#closed = once(this.#child, "close");
    // A missing program must not end the tests without a word: `connect` tells.
    this.#closed.catch((error: unknown) => {
      this.#complaints += String(error);
    });
  }

  get running(): boolean {
    return this.pid !== 0 && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Fulfilled when it has ended and all that it wrote has arrived. */
  async ended(): Promise<void> {
    await this.#closed;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed.catch(() => {});
  }

  /** What the guest wrote on its first serial port. */
  get console(): string {
    return existsSync(this.#console) ? readFileSync(this.#console, "utf8") : "";
  }

  /** A connection to one of its sockets, as soon as it listens there. */
  async connect(path: string): Promise<Socket> {
    while (this.running) {
      const socket = createConnection(path);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
      if (await promise) return socket;
      await sleep(10);
    }
    throw new Error("QEMU ended at once");
  }

  /** Its file behind guest RAM of the kind memfd. */
  get ramDescriptor(): string | undefined {
    const directory = `/proc/${this.pid}/fd`;
    const paths = readdirSync(directory).map((name) => join(directory, name));
    return paths.find((path) => linkTarget(path).startsWith("/memfd:memory-backend-memfd"));
  }

  /** An error that shows what QEMU said and the last lines of the guest's console. */
  failure(what: string, cause: unknown): Error {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const lines = lastLines(this.console);
    const parts = [
      `${what}: ${reason}`,
      ...(this.#complaints === "" ? [] : [`--- QEMU says ---\n${this.#complaints.trimEnd()}`]),
      `--- last lines of the guest's console ---\n${lines}`,
    ];
    return new Error(parts.join("\n"), { cause });
  }
}

/** From the kernel's first complaint on, if there was one and it is not far back. */
function lastLines(console: string): string {
  const lines = console.trimEnd().split(/\r?\n/).slice(-120);
  const first = lines.findIndex((line) => /BUG:|Oops|protection fault|Kernel panic/.test(line));
  return lines.slice(first < 0 ? -30 : first).join("\n");
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed since it was listed
  }
}
