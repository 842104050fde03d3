import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { Rings } from "./io-uring.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import type { NamedProcess } from "./named-process.ts";
import type { Socks } from "./sock.ts";
import { Tasks } from "./task.ts";

/** Who has a socket open. */
export type SocketHolder = NamedProcess & {
  /** The descriptor that is the socket, or the io_uring that has it. */
  readonly fd: number;
  /** Place in that io_uring's table. */
  readonly registered?: number;
};

/** A socket that some process has open, with all who do. */
export type OpenSocket = {
  /** `struct socket`. */
  readonly socket: GuestVirtual;
  /** Its `struct sock`. */
  readonly sock: GuestVirtual;
  readonly holders: SocketHolder[];
};

/** The kernel's ceiling of fs.nr_open is higher, but nobody raises it past this. */
const MAX_FDS = 2 ** 20;
/** Descriptors that are copied at once. */
const CHUNK = 4096;

/**
 * Finds sockets through processes' file descriptors (file → private_data → socket → sk), and through
 * the files that those registered with an io_uring.
 */
export class SocketFiles {
  readonly #kernel: Kernel;
  readonly #socks: Socks;
  readonly #tasks: Tasks;
  readonly #rings: Rings;
  readonly #table: Reader;
  readonly #count: Reader;
  readonly #array: Reader;

  constructor(kernel: Kernel, socks: Socks) {
    this.#kernel = kernel;
    this.#socks = socks;
    this.#tasks = new Tasks(kernel);
    this.#rings = new Rings(kernel);
    this.#table = kernel.reader("files_struct", "fdt");
    this.#count = kernel.reader("fdtable", "max_fds");
    this.#array = kernel.reader("fdtable", "fd");
  }

  /** Every open socket, by the address of its `struct socket`. */
  read(budget: Budget, problem: (reason: string) => void): Map<GuestVirtual, OpenSocket> {
    const found = new Map<GuestVirtual, OpenSocket>();
    const seen = new Set<string>();
    for (const leader of this.#tasks.processes(budget, problem)) {
      const pid = this.#tasks.tgid(leader);
      const process = { pid, comm: this.#tasks.comm(leader) ?? "?" };
      // A thread may have left the others' table (CLONE_FILES, unshare).
      for (const task of this.#tasks.threads(leader, budget, problem)) {
        const files = this.#tasks.files(task);
        const key = `${pid}/${files}`;
        if (files === 0 || files !== files || seen.has(key)) continue;
        seen.add(key);
        this.#readTable(files, process, found, budget, problem);
      }
    }
    return found;
  }

  /**
   * The array itself, without asking the bitmap of open descriptors: the kernel uses a file that
   * lies there whatever the bitmap says (files_lookup_fd_raw in include/linux/fdtable.h).
   */
  #readTable(
    files: GuestVirtual,
    process: NamedProcess,
    found: Map<GuestVirtual, OpenSocket>,
    budget: Budget,
    problem: (reason: string) => void,
  ): void {
    const { space } = this.#kernel;
    const table = this.#table(files);
    const array = this.#array(table);
    const count = this.#count(table);
    const unreadable = `the open files of process ${process.pid} cannot be read`;
    if (!(count <= MAX_FDS)) return problem(unreadable);
    const raw = new Uint8Array(Math.min(count, CHUNK) * 8);
    const view = new DataView(raw.buffer);
    for (let first = 0; first < count; first += CHUNK) {
      const length = Math.min(CHUNK, count - first);
      const bytes = raw.subarray(0, length * 8);
      if (!budget.step() || space.copy(array + first * 8, bytes) < bytes.length) {
        return problem(unreadable);
      }
      for (let index = 0; index < length; index++) {
        const low = view.getUint32(index * 8, true);
        const high = view.getUint32(index * 8 + 4, true);
        if (high === 0) continue;
        if (!budget.step()) return problem("the time for reading open files is over");
        const file = space.folding.fold(low, high);
        const holder = { ...process, fd: first + index };
        this.#add(file, holder, found);
        if (this.#rings.isRing(file)) this.#addRegistered(file, holder, found, budget, problem);
      }
    }
    return undefined;
  }

  #addRegistered(
    ring: GuestVirtual,
    holder: SocketHolder,
    found: Map<GuestVirtual, OpenSocket>,
    budget: Budget,
    problem: (reason: string) => void,
  ): void {
    for (const { slot, file } of this.#rings.registered(ring, budget, problem)) {
      this.#add(file, { ...holder, registered: slot }, found);
    }
  }

  /** A socket knows its file, which all who have it open share. */
  #add(file: GuestVirtual, holder: SocketHolder, found: Map<GuestVirtual, OpenSocket>): void {
    const socket = this.#socks.ofFile(file);
    if (socket === undefined) return;
    const known = found.get(socket);
    if (known !== undefined) {
      known.holders.push(holder);
      return;
    }
    if (this.#socks.fileOf(socket) !== file) return;
    found.set(socket, { socket, sock: this.#socks.ofSocket(socket), holders: [holder] });
  }
}
