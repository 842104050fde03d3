import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentLink, type RunOptions, type RunResult } from "./agent-link.ts";
import { inPlace } from "./cache.ts";
import { searchPath } from "./command.ts";
import { initramfs, type InitramfsOptions } from "./initramfs.ts";
import { agentPort, guestPaths, hardwareArguments, type GuestPaths } from "./qemu-arguments.ts";
import type { Hardware } from "./qemu-arguments.ts";
import { QmpClient } from "./qmp-client.ts";

export type GuestOptions = Hardware &
  Omit<InitramfsOptions, "port"> & {
    /** More of the kernel's command line. */
    readonly append?: string;
    /** QEMU's -name; unique unless told. */
    readonly name?: string;
    /** Milliseconds until a boot counts as hung; 240,000 unless told. */
    readonly bootTimeout?: number;
  };

/** A running test guest. Disposing it ends its QEMU with certainty. */
export class Guest implements AsyncDisposable {
  readonly name: string;
  readonly paths: GuestPaths;
  readonly options: GuestOptions;
  readonly pid: number;
  readonly #qemu: ChildProcess;
  readonly #link: AgentLink;
  readonly #monitor: QmpClient;

  constructor(parts: {
    name: string;
    paths: GuestPaths;
    options: GuestOptions;
    qemu: ChildProcess;
    link: AgentLink;
    monitor: QmpClient;
  }) {
    this.name = parts.name;
    this.paths = parts.paths;
    this.options = parts.options;
    this.pid = parts.qemu.pid ?? 0;
    this.#qemu = parts.qemu;
    this.#link = parts.link;
    this.#monitor = parts.monitor;
  }

  /** A QMP socket that the harness leaves alone. */
  get qmpPath(): string {
    return this.paths.qmp;
  }

  /** The file that is the guest's RAM (memfd or file), or undefined for anonymous RAM. */
  get ramPath(): string | undefined {
    if (this.options.ram === "anonymous") return undefined;
    if (this.options.ram === "file") return this.paths.ram;
    const descriptors = `/proc/${this.pid}/fd`;
    const found = readdirSync(descriptors).find((fd) =>
      readlinkOrEmpty(join(descriptors, fd)).startsWith("/memfd:memory-backend-memfd"),
    );
    return found === undefined ? undefined : join(descriptors, found);
  }

  /** What the guest wrote on its first serial port. */
  get console(): string {
    return readConsole(this.paths);
  }

  /** A shell command, whatever its exit status; rejects only if the guest fails or time is up. */
  async attempt(command: string, options: RunOptions = {}): Promise<RunResult> {
    try {
      return await this.#link.run(command, options);
    } catch (error) {
      throw withConsole(`${this.name}: cannot run a command`, this.paths, error);
    }
  }

  /** The output of a shell command that has to succeed, as text. */
  async run(command: string, options: RunOptions = {}): Promise<string> {
    const { stdout, stderr, status } = await this.attempt(command, options);
    if (status === 0) return stdout.toString();
    throw new Error(`${this.name}: status ${status} from: ${command}\n${stderr}${stdout}`);
  }

  /** Writes a file in the guest. */
  async put(path: string, data: Uint8Array | string, mode = 0o644): Promise<void> {
    const target = quote(path);
    const command = `cat > ${target} && chmod ${mode.toString(8)} ${target}`;
    await this.run(command, { input: Buffer.from(data) });
  }

  /** Reads a file of the guest. */
  async get(path: string, options: RunOptions = {}): Promise<Buffer> {
    const { stdout, stderr, status } = await this.attempt(`cat ${quote(path)}`, options);
    if (status !== 0) throw new Error(`${this.name}: ${stderr}`);
    return stdout;
  }

  /** A QMP command on the harness's own socket. */
  async qmp(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#monitor.execute(name, args);
  }

  /** A command of QEMU's human monitor. */
  async hmp(line: string): Promise<string> {
    return (await this.qmp("human-monitor-command", { "command-line": line })) as string;
  }

  /** Fulfilled when its QEMU has ended. */
  async ended(): Promise<void> {
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      await once(this.#qemu, "exit");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#qemu.kill("SIGKILL");
    await this.ended();
    this.#monitor.close();
    this.#link.break(new Error(`${this.name} was ended`));
    rmSync(this.paths.home, { recursive: true, force: true });
  }
}

/** Boots a small guest under TCG and returns when commands can be run in it. */
export async function bootTiny(options: GuestOptions): Promise<Guest> {
  return inPlace("boot", availableParallelism(), () => boot(options));
}

async function boot(options: GuestOptions): Promise<Guest> {
  const home = guestHome();
  const paths = guestPaths(home);
  const name = options.name ?? home.split("/").at(-1) ?? "guest";
  const machine = options.machine ?? "q35";
  const modules = [...linkModules(options), ...(options.modules ?? [])];
  const initial = await initramfs({ ...options, modules, port: agentPort(machine) });
  writeFileSync(paths.initramfs, initial);
  const qemu = spawnQemu(
    paths,
    [
      hardwareArguments(name, paths, options),
      ["-accel", "tcg,thread=multi", "-kernel", options.kernel.vmlinuz],
      ["-initrd", paths.initramfs],
      ["-append", `console=ttyS0 panic=-1 ${options.append ?? ""}`.trimEnd()],
    ].flat(),
  );
  try {
    const monitor = new QmpClient(await connect(paths.monitor, qemu));
    await monitor.execute("qmp_capabilities");
    const link = new AgentLink(await connect(paths.agent, qemu));
    await within(options.bootTimeout ?? 240_000, link.greeted);
    rmSync(paths.initramfs);
    return new Guest({ name, paths, options, qemu, link, monitor });
  } catch (error) {
    qemu.kill("SIGKILL");
    const failure = withConsole(`${options.kernel.version} did not boot`, paths, error);
    rmSync(home, { recursive: true, force: true });
    throw failure;
  }
}

function linkModules(options: GuestOptions): string[] {
  return [
    ...(options.machine === "microvm" ? [] : ["virtio_pci", "virtio_console"]),
    ...(options.disks === undefined ? [] : ["virtio_blk"]),
    ...(options.network === true ? ["virtio_net"] : []),
  ];
}

/** QEMU dies with the thread that started it, however that ends (prctl PR_SET_PDEATHSIG). */
function spawnQemu(paths: GuestPaths, args: readonly string[]): ChildProcess {
  const qemu = spawn("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PATH: searchPath() },
  });
  const complaints: Buffer[] = [];
  qemu.stderr.on("data", (data: Buffer) => complaints.push(data));
  qemu.once("exit", () => {
    const said = Buffer.concat(complaints).toString();
    if (said !== "" && existsSync(paths.home)) {
      writeFileSync(paths.console, `\n[QEMU] ${said}`, { flag: "a" });
    }
  });
  return qemu;
}

/**
 * A new folder for a guest, in shared memory where there is some because RAM files live in it.
 * Folders of test processes that were killed are removed on the way.
 */
function guestHome(): string {
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const mine = join(base, `kvmsec-test-${process.getuid?.() ?? 0}`);
  mkdirSync(mine, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(mine)) {
    const owner = Number(name.split("-")[1]);
    if (!existsSync(`/proc/${owner}`)) rmSync(join(mine, name), { recursive: true, force: true });
  }
  return mkdtempSync(join(mine, `guest-${process.pid}-`));
}

async function connect(path: string, qemu: ChildProcess): Promise<Socket> {
  for (;;) {
    if (qemu.exitCode !== null || qemu.signalCode !== null) throw new Error("QEMU ended at once");
    const socket = createConnection(path);
    const connected = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (connected) return socket;
    await sleep(10);
  }
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const error = new Error(`nothing heard from the guest for ${milliseconds} ms`);
  const timer = setTimeout(() => reject(error), milliseconds);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

function readConsole(paths: GuestPaths): string {
  return existsSync(paths.console) ? readFileSync(paths.console, "utf8") : "";
}

function withConsole(what: string, paths: GuestPaths, cause: unknown): Error {
  const lines = readConsole(paths).trimEnd().split("\n").slice(-30).join("\n");
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(`${what}: ${reason}\n--- last lines of its console ---\n${lines}`, { cause });
}

function readlinkOrEmpty(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** A word for the guest's shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
