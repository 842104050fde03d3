import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { GuardEvent } from "../../../src/events/event.ts";
import { eventLogPath } from "../../../src/events/event-log.ts";
import { readLog } from "../../../src/events/log-reader.ts";
import { kvmsec } from "../command-line.ts";
import type { CommandResult } from "../command-line.ts";

const PATIENCE_MS = 240_000;
const program = resolve(import.meta.dirname, "../../../src/cli/main.ts");

/** A `kvmsec serve` of a home, and the log that it writes. */
export class Guard implements AsyncDisposable {
  readonly home: string;
  readonly evidence: string;
  readonly #config: string;
  readonly #lines: readonly string[];
  #child: ChildProcess | undefined;
  #said = "";

  /** In a home of its own unless told; `lines` are its configuration. */
  constructor(lines: readonly string[], home = mkdtempSync(join(tmpdir(), "kvmsec-guard-"))) {
    this.home = home;
    this.evidence = join(home, "evidence");
    this.#config = join(home, "guard.yaml");
    this.#lines = lines;
    this.configure();
  }

  /** Writes the configuration; more lines may follow. */
  configure(...more: readonly string[]): void {
    // Every check in every look: a machine under load makes each of them look costly.
    const lines = ["interval: 1s", "budget: 1", ...this.#lines, ...more];
    writeFileSync(this.#config, `${lines.join("\n")}\n`);
  }

  get pid(): number {
    return this.#child?.pid ?? assert.fail("the guard does not run");
  }

  start(env: NodeJS.ProcessEnv = {}): void {
    const flags = ["--conditions=kvmsec-source", "--disable-warning=ExperimentalWarning"];
    const child = spawn(process.execPath, [...flags, program, "serve", "--config", this.#config], {
      env: { ...process.env, KVMSEC_HOME: this.home, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#said += text));
    this.#child = child;
  }

  get runs(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || !this.runs) return null;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
    return child.exitCode;
  }

  events(): GuardEvent[] {
    const events: GuardEvent[] = [];
    const { fault } = readLog(eventLogPath(this.home), (event) => events.push(event));
    assert.equal(fault, undefined);
    return events;
  }

  /** The first such event behind the number given. */
  async until(accept: (event: GuardEvent) => boolean, behind = 0): Promise<GuardEvent> {
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(50)) {
      const found = this.events().find((event) => event.sequence > behind && accept(event));
      if (found !== undefined) return found;
      assert.equal(this.#child?.exitCode, null, this.#said);
    }
    return assert.fail(
      `${this.#said}\n${this.events()
        .map((event) => JSON.stringify(event))
        .join("\n")}`,
    );
  }

  /** Runs kvmsec in the same home. */
  run(...args: string[]): Promise<CommandResult> {
    return kvmsec(this.home, ...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
    rmSync(this.home, { recursive: true, force: true });
  }

  get last(): number {
    return this.events().length;
  }

  done(reaction: string): number {
    return this.events().filter(is("reaction", { reaction, state: "done" })).length;
  }
}

/** Events of that kind that say so. */
export function is(kind: string, data: Readonly<Record<string, unknown>> = {}) {
  return (event: GuardEvent): boolean =>
    event.kind === kind &&
    Object.entries(data).every(([name, value]) => event.data[name] === value);
}

/** An event in the life of a finding of that check. */
export const about = (check: string, event: string) => (one: GuardEvent) =>
  is("finding", { event })(one) && JSON.stringify(one.data).includes(`"check":"${check}"`);
