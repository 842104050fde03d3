import { OpenFiles } from "../linux/open-file.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import { Tasks } from "../linux/task.ts";
import type { CheckContext } from "./check.ts";
import { withoutDeleted } from "./paths.ts";
import { processes, sockets } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

/** Standard input and output. */
const INPUT = 0;
const OUTPUT = 1;
/** What a shell is wired to a network with: programs that do nothing but hand on. */
const RELAYS = /^(nc|ncat|netcat|nc\.(openbsd|traditional)|socat|telnet|openssl|cryptcat|chisel)$/;
/** Of one program with many names, its first argument. */
const BUSYBOX = /^(busybox|toybox)(-|$)/;
/** Where nobody installs programs; AppImage and PyInstaller unpack theirs there. */
const TEMPORARY = /^\/(tmp\/(?!\.mount_|_MEI)|var\/tmp\/|dev\/shm\/|memfd:)/;
/** Protocols that a shell can be led over, by the names that sockets have. */
const NETWORK: ReadonlySet<string> = new Set([
  "tcp",
  "mptcp",
  "udp",
  "udplite",
  "sctp",
  "dccp",
  "smc",
  "vsock",
]);
/** Of pipes that lead from one program to the next. */
const LONGEST_CHAIN = 4;

/** The far end of the connection that a process has its standard input and output on. */
export function wiredProcesses({ facts }: CheckContext): ReadonlyMap<number, string> {
  const inputs = new Map<number, string>();
  const outputs = new Set<number>();
  for (const { pid, fd, remote } of connectedDescriptors(facts.get(sockets).rows)) {
    if (fd === INPUT) inputs.set(pid, remote);
    if (fd === OUTPUT) outputs.add(pid);
  }
  return new Map([...inputs].filter(([pid]) => outputs.has(pid)));
}

type Connected = { readonly pid: number; readonly fd: number; readonly remote: string };

function* connectedDescriptors(rows: readonly FoundSocket[]): Generator<Connected> {
  for (const { protocol, family, state, remote, holders } of rows) {
    if (!NETWORK.has(protocol) && !NETWORK.has(family)) continue;
    // Who waits for anybody has no far end.
    if (state === "LISTEN" || remote.endsWith(":*")) continue;
    for (const { pid, fd, registered } of holders) {
      if (registered === undefined) yield { pid, fd, remote };
    }
  }
}

/** A process that hands on what a connection brings. */
export type Relay = { readonly process: CalledProcess; readonly remote: string };

/** Finds shells whose input and output somebody else hands on to a network. */
export class RelayedShells {
  readonly #relays: ReadonlyMap<number, Relay>;
  readonly #ends: ReadonlyMap<number, Ends>;

  constructor(context: CheckContext) {
    const { rows } = context.facts.get(processes);
    const remotes = new Map<number, string>();
    for (const { pid, remote } of connectedDescriptors(context.facts.get(sockets).rows)) {
      remotes.set(pid, remote);
    }
    const relays = rows.flatMap((process): [number, Relay][] => {
      const remote = remotes.get(process.pid);
      return remote !== undefined && isRelay(process) ? [[process.pid, { process, remote }]] : [];
    });
    this.#relays = new Map(relays);
    // Files are only read where there is somebody to be led to.
    this.#ends = this.#relays.size === 0 ? new Map() : readEnds(context, rows);
  }

  /** Who leads a shell: its parent, or whoever reads its output and, over some pipes, feeds its input. */
  of(shell: CalledProcess): Relay | undefined {
    const parent = this.#relays.get(shell.ppid);
    if (parent !== undefined) return parent;
    const ends = this.#ends.get(shell.pid);
    if (ends === undefined) return undefined;
    return [...this.#relays].find(
      ([pid]) =>
        pid !== shell.pid &&
        ends.output !== undefined &&
        this.#ends.get(pid)?.reads.has(ends.output) === true &&
        this.#feeds(pid, ends.input, LONGEST_CHAIN),
    )?.[1];
  }

  /** Whether what a process writes comes to a pipe, through other programs too. */
  #feeds(pid: number, pipe: string | undefined, hops: number): boolean {
    if (pipe === undefined || hops === 0) return false;
    if (this.#ends.get(pid)?.writes.has(pipe) === true) return true;
    return [...this.#ends.values()].some(
      ({ reads, output }) =>
        output === pipe && [...reads].some((from) => this.#feeds(pid, from, hops - 1)),
    );
  }
}

/** The pipes of a process; `input` and `output` are what its standard ones are. */
type Ends = {
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly reads: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
};

function readEnds(
  { kernel }: CheckContext,
  rows: readonly CalledProcess[],
): ReadonlyMap<number, Ends> {
  const tasks = new Tasks(kernel);
  const files = new OpenFiles(kernel);
  const budget = kernel.budget();
  const ends = new Map<number, Ends>();
  for (const { pid, task, kthread } of rows) {
    const table = tasks.files(task);
    if (kthread || !(table < 0)) continue;
    const pipes = [...files.all(table, budget)].filter(({ type }) => type === "fifo");
    const names = (wanted: (access: string, fd: number) => boolean): string[] =>
      pipes
        .filter(({ access, fd }) => wanted(access, fd))
        .map(({ device, inode }) => `${device}/${inode}`);
    ends.set(pid, {
      input: names((_, fd) => fd === INPUT)[0],
      output: names((_, fd) => fd === OUTPUT)[0],
      reads: new Set(names((access) => access.includes("r"))),
      writes: new Set(names((access) => access.includes("w"))),
    });
  }
  return ends;
}

function isRelay({ exe, comm, argv }: CalledProcess): boolean {
  if (exe === undefined) return false;
  const program = withoutDeleted(exe).split("/").at(-1) ?? comm;
  if (BUSYBOX.test(program)) return RELAYS.test(appletOf(argv ?? []));
  return RELAYS.test(program) || TEMPORARY.test(exe);
}

/** `busybox nc`, or a link of that name. */
function appletOf([first = "", second = ""]: readonly string[]): string {
  const name = first.split("/").at(-1) ?? "";
  return BUSYBOX.test(name) ? second : name;
}
