import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { systemCode } from "../../base/errors.ts";
import { QmpConnection } from "../../qmp/connection.ts";
import type { QmpTransport, TransportEvents } from "../../qmp/transport.ts";
import { install, missing, ok, warning } from "./check.ts";
import type { Finding, Host, Probe } from "./check.ts";

/** The oldest QEMU that kvmsec is made for. */
const OLDEST = [7, 2] as const;

/** The commands without which a function falls away, and the function. */
const functions: Readonly<Record<string, readonly string[]>> = {
  "freezing and resuming": ["stop", "cont", "query-status"],
  capturing: ["dump-guest-memory", "migrate", "migrate-set-capabilities", "screendump"],
  "disk snapshots": ["transaction", "blockdev-add", "blockdev-backup", "query-jobs"],
  isolating: ["set_link", "netdev_del", "object-add"],
  "registers and layout": ["human-monitor-command", "query-cpus-fast", "query-memdev"],
};

/** The QEMU that guests are started with. */
export const qemu: Probe = { id: "qemu", title: "QEMU", essential: true, look };

async function look(host: Host): Promise<Finding> {
  let answer: Answer;
  try {
    answer = await ask(host.qemu);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    const mend = install(host, "qemu-system-x86");
    const meaning = "no guest can be started; QEMUs that others start can still be read";
    if (systemCode(cause) === "ENOENT") return missing(`there is no ${host.qemu}`, meaning, mend);
    const sentence = cause instanceof Error ? cause.message : String(cause);
    return missing(`${host.qemu} does not start: ${sentence}`, meaning);
  }
  return judge(answer, host);
}

function judge({ version, commands, memfd }: Answer, host: Host): Finding {
  const text = version.join(".");
  const [major, minor] = version;
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    return warning(
      `QEMU ${text}`,
      `older than ${OLDEST.join(".")}, with which kvmsec is tested`,
      install(host, "qemu-system-x86"),
    );
  }
  const lost = Object.entries(functions)
    .filter(([, names]) => names.some((name) => !commands.has(name)))
    .map(([name]) => name);
  if (!memfd) lost.push("RAM as memfd");
  if (lost.length > 0) return warning(`QEMU ${text}`, `it lacks: ${lost.join(", ")}`);
  return ok(`QEMU ${text}, with all that kvmsec uses of its ${commands.size} commands`);
}

type Answer = {
  readonly version: readonly [number, number, number];
  readonly commands: ReadonlySet<string>;
  readonly memfd: boolean;
};

const PATIENCE_MS = 10_000;

/** Starts a QEMU without a machine and asks it, over QMP on its standard input and output. */
async function ask(program: string): Promise<Answer> {
  const nothing = "-machine none -nodefaults -no-user-config -display none -S";
  const sandbox =
    "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
  const args = `${nothing} ${sandbox} -qmp stdio`.split(" ");
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  try {
    const transport = new ChildTransport(child);
    using qmp = await QmpConnection.open(transport, program, { timeoutMs: PATIENCE_MS });
    const commands = new Set((await qmp.execute("query-commands")).map(({ name }) => name));
    const backends = await qmp.executeAny("qom-list-types", { implements: "memory-backend" });
    const { major, minor, micro } = qmp.version.qemu;
    return {
      version: [major, minor, micro],
      commands,
      memfd: JSON.stringify(backends).includes('"memory-backend-memfd"'),
    };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

/** QMP over the pipes of a child. Its last words on standard error are the cause of an early end. */
class ChildTransport implements QmpTransport {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#child = child;
  }

  receive(events: TransportEvents): void {
    let cause: Error | undefined;
    let words = "";
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (words.length < 4096) words += text;
    });
    this.#child.stdin.on("error", () => {});
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => events.text(text));
    this.#child.on("error", (error) => (cause = error));
    this.#child.on("close", () => {
      const first = words.trim().split("\n", 1)[0] ?? "";
      events.end(cause ?? (first === "" ? undefined : new Error(first)));
    });
  }

  send(text: string): void {
    this.#child.stdin.write(text);
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}
