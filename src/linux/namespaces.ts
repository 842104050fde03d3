import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PointerCache } from "./pointer-cache.ts";

/** Inode numbers as `/proc/PID/ns` shows them; undefined where a namespace cannot be read. */
export type Namespaces = Readonly<Record<NamespaceName, number | undefined>>;

export type NamespaceName = "cgroup" | "ipc" | "mnt" | "net" | "pid" | "time" | "user" | "uts";

/** What decides a task's namespaces. */
type Key = {
  readonly nsproxy: GuestVirtual;
  readonly user: GuestVirtual;
  readonly pid: GuestVirtual;
};

type Known = Key & { readonly namespaces: Namespaces };
type Source = { readonly name: NamespaceName; readonly pointer: Reader; readonly inum: Reader };

/** MAX_PID_NS_LEVEL (include/linux/pid_namespace.h). */
const MAX_PID_NS_LEVEL = 32;
const IN_NSPROXY: readonly (readonly [NamespaceName, string, string])[] = [
  ["cgroup", "cgroup_ns", "cgroup_namespace"],
  ["ipc", "ipc_ns", "ipc_namespace"],
  ["mnt", "mnt_ns", "mnt_namespace"],
  ["net", "net_ns", "net"],
  ["time", "time_ns", "time_namespace"],
  ["uts", "uts_ns", "uts_namespace"],
];

/** Decodes `struct nsproxy` (include/linux/nsproxy.h) and the two namespaces that lie elsewhere. */
export class NamespaceDecoder {
  readonly #sources: readonly Source[];
  readonly #userInum: Reader;
  readonly #pidInum: Reader;
  readonly #pidNumbers: number;
  readonly #pidLevel: Reader;
  readonly #upidSize: number;
  readonly #upidNs: Reader;
  readonly #upidNumber: Reader;
  readonly #known = new PointerCache<Known>();

  constructor(kernel: Kernel) {
    this.#sources = IN_NSPROXY.filter(([, member]) => kernel.types.has("nsproxy", member)).map(
      ([name, member, struct]) => ({
        name,
        pointer: kernel.reader("nsproxy", member),
        inum: kernel.reader(struct, "ns.inum"),
      }),
    );
    this.#userInum = kernel.reader("user_namespace", "ns.inum");
    this.#pidInum = kernel.reader("pid_namespace", "ns.inum");
    this.#pidNumbers = kernel.offset("pid", "numbers");
    this.#pidLevel = kernel.reader("pid", "level");
    this.#upidSize = kernel.types.size("upid");
    this.#upidNs = kernel.reader("upid", "ns");
    this.#upidNumber = kernel.reader("upid", "nr");
  }

  /**
   * The namespaces of a task with this `nsproxy` (NULL once it has exited), user namespace and
   * `thread_pid`. The pid namespace is the one that it was made in, not the one its children will
   * get. Remembered until `forget`.
   */
  decode(nsproxy: GuestVirtual, user: GuestVirtual, threadPid: GuestVirtual): Namespaces {
    const pid = this.pidNamespace(threadPid);
    const known = this.#known.get(nsproxy);
    if (known?.user === user && known.pid === pid) return known.namespaces;
    const namespaces = this.#read({ nsproxy, user, pid });
    this.#known.set(nsproxy, { nsproxy, user, pid, namespaces });
    return namespaces;
  }

  /** The numbers of a `struct pid` in each namespace; undefined where the initial one is the only. */
  numbers(threadPid: GuestVirtual): readonly number[] | undefined {
    const level = this.#pidLevel(threadPid);
    if (!(level >= 1 && level <= MAX_PID_NS_LEVEL)) return undefined;
    const first = threadPid + this.#pidNumbers;
    return Array.from({ length: level + 1 }, (_, index) =>
      this.#upidNumber(first + index * this.#upidSize),
    );
  }

  /** The `pid_namespace` that a `struct pid` was made in. */
  pidNamespace(threadPid: GuestVirtual): GuestVirtual {
    const level = this.#pidLevel(threadPid);
    if (!(level <= MAX_PID_NS_LEVEL)) return FAULT;
    return this.#upidNs(threadPid + this.#pidNumbers + level * this.#upidSize);
  }

  forget(): void {
    this.#known.clear();
  }

  #read({ nsproxy, user, pid }: Key): Namespaces {
    const namespaces: Record<NamespaceName, number | undefined> = {
      cgroup: undefined,
      ipc: undefined,
      mnt: undefined,
      net: undefined,
      pid: known(this.#pidInum(pid)),
      time: undefined,
      user: known(this.#userInum(user)),
      uts: undefined,
    };
    for (const { name, pointer, inum } of this.#sources) {
      namespaces[name] = known(inum(pointer(nsproxy)));
    }
    return namespaces;
  }
}

function known(value: number): number | undefined {
  return value === value ? value : undefined;
}
