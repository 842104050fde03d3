import { rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { AgentLink, type RunOptions, type RunResult } from "./agent-link.ts";
import { inPlace } from "./cache.ts";
import { command } from "./command.ts";
import { makeGrubDisk } from "./grub-disk.ts";
import { guestHome } from "./guest-home.ts";
import { helperProgram } from "./helper-program.ts";
import { initramfs, type InitramfsOptions } from "./initramfs.ts";
import { agentPort, guestPaths, hardwareArguments, hardwareModules } from "./qemu-arguments.ts";
import type { GuestPaths, Hardware } from "./qemu-arguments.ts";
import { QemuProcess } from "./qemu-process.ts";
import { QmpClient } from "./qmp-client.ts";

export type GuestOptions = Hardware &
  Omit<InitramfsOptions, "port"> & {
    /** More of the kernel's command line. */
    readonly append?: string;
    /** QEMU's -name; unique unless told. */
    readonly name?: string;
    /** GRUB boots the guest from a disk of its own; QEMU knows nothing of its kernel then. */
    readonly fromDisk?: boolean;
    /** Milliseconds until a boot counts as hung; 240,000 unless told. */
    readonly bootTimeout?: number;
  };

/**
 * One thread for all virtual processors: with a thread each, QEMU before 8.1 may keep translated
 * code that another processor has patched since, and a guest that patches itself (tracers, static
 * keys) oopses or hangs. Whoever reads from outside runs beside the guest in either way.
 */
const ACCELERATOR = "tcg,thread=single";

/** A running test guest. Disposing it ends its QEMU with certainty. */
export class Guest implements AsyncDisposable {
  readonly name: string;
  readonly paths: GuestPaths;
  readonly options: GuestOptions;
  readonly #qemu: QemuProcess;
  readonly #link: AgentLink;
  readonly #monitor: QmpClient;

  constructor(parts: {
    name: string;
    paths: GuestPaths;
    options: GuestOptions;
    qemu: QemuProcess;
    link: AgentLink;
    monitor: QmpClient;
  }) {
    this.name = parts.name;
    this.paths = parts.paths;
    this.options = parts.options;
    this.#qemu = parts.qemu;
    this.#link = parts.link;
    this.#monitor = parts.monitor;
  }

  /** Of its QEMU. */
  get pid(): number {
    return this.#qemu.pid;
  }

  /** A QMP socket that the harness leaves alone. */
  get qmpPath(): string {
    return this.paths.qmp;
  }

  /** The file that is the guest's RAM (memfd or file), or undefined for anonymous RAM. */
  get ramPath(): string | undefined {
    if (this.options.ram === "anonymous") return undefined;
    if (this.options.ram === "file") return this.paths.ram;
    return this.#qemu.ramDescriptor;
  }

  /** What the guest wrote on its first serial port. */
  get console(): string {
    return this.#qemu.console;
  }

  /** A shell command, whatever its exit status; rejects only if the guest fails or time is up. */
  async attempt(command: string, options: RunOptions = {}): Promise<RunResult> {
    try {
      return await this.#link.run(command, options);
    } catch (error) {
      // A guest that panicked took its QEMU with it: let it finish speaking.
      if (this.#link.broken) await this.#qemu.ended();
      throw this.#qemu.failure(`${this.name}: cannot run a command`, error);
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

  /** Restarts the kernel (the option `reboot` has to be set); ready for commands again after it. */
  async reboot(command = "reboot -f"): Promise<void> {
    const back = this.nextBoot();
    // Its own answer may or may not come before the reset.
    await this.attempt(command, { timeout: bootTimeout(this.options) }).catch(() => {});
    await back;
  }

  /** Fulfilled when it is ready for commands after its next boot, whoever resets it. */
  nextBoot(): Promise<void> {
    return within(bootTimeout(this.options), this.#link.greeting);
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
    await this.#qemu.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qemu.kill();
    this.#monitor.close();
    this.#link.break(new Error(`${this.name} was ended`));
    rmSync(this.paths.home, { recursive: true, force: true });
  }
}

/** Boots a small guest under TCG and returns when commands can be run in it. */
export async function bootTiny(options: GuestOptions): Promise<Guest> {
  return inPlace("boot", availableParallelism(), () => boot(options));
}

async function boot(wish: GuestOptions): Promise<Guest> {
  const home = guestHome();
  const paths = guestPaths(home);
  const own = { file: paths.bootDisk, format: "qcow2" } as const;
  const options = wish.fromDisk === true ? { ...wish, disks: [own, ...(wish.disks ?? [])] } : wish;
  const modules = [...hardwareModules(options), ...(options.modules ?? [])];
  const initial = await initramfs({ ...options, modules, port: agentPort(options) });
  const append = await commandLine(options);
  const name = options.name ?? home.split("/").at(-1) ?? "guest";
  writeFileSync(paths.initramfs, initial);
  if (options.fromDisk === true) {
    const { initramfs: archive, bootDisk } = paths;
    await makeGrubDisk(bootDisk, { ...options.kernel, initramfs: archive, append });
  }
  const qemu = new QemuProcess(
    paths,
    [
      hardwareArguments(name, paths, options),
      ["-accel", ACCELERATOR],
      options.fromDisk === true
        ? []
        : ["-kernel", options.kernel.vmlinuz, "-initrd", paths.initramfs, "-append", append],
    ].flat(),
  );
  try {
    const monitor = new QmpClient(await qemu.connect(paths.monitor));
    await monitor.execute("qmp_capabilities");
    const link = new AgentLink(await qemu.connect(paths.agent));
    await within(bootTimeout(options), link.greeting);
    rmSync(paths.initramfs);
    return new Guest({ name, paths, options, qemu, link, monitor });
  } catch (error) {
    await qemu.kill();
    const failure = qemu.failure(`${options.kernel.version} did not boot`, error);
    rmSync(home, { recursive: true, force: true });
    throw failure;
  }
}

/**
 * A microvm has neither PIT nor HPET as a clock: where its kernel fails to measure the TSC, as on a
 * busy host, or comes to distrust it, it stands still (measured on 6.12). So it is told
 * (kernel-parameters.txt; tsc_early_khz from 5.11).
 */
async function commandLine(options: GuestOptions): Promise<string> {
  // On a busy host the kernel's trial of the timer may see no tick in time, and then it gives up.
  const words = ["console=ttyS0", "panic=-1", "no_timer_check"];
  if (options.machine === "microvm") {
    const kilohertz = await command(await helperProgram("tsc-khz"), []);
    words.push(`tsc_early_khz=${kilohertz.trim()}`, "tsc=reliable");
  }
  if (options.append !== undefined && options.append !== "") words.push(options.append);
  return words.join(" ");
}

function bootTimeout(options: GuestOptions): number {
  return options.bootTimeout ?? 240_000;
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

/** A word for the guest's shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
