import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** Inode numbers as `/proc/PID/ns` shows them; undefined where a namespace cannot be read. */
export type Namespaces = Readonly<Record<NamespaceName, number | undefined>>;

export type NamespaceName = "cgroup" | "ipc" | "mnt" | "net" | "pid" | "time" | "user" | "uts";

type Source = { readonly name: NamespaceName; readonly pointer: Reader; readonly inum: Reader };

/** Decodes `struct nsproxy` (include/linux/nsproxy.h) and the two namespaces that lie elsewhere. */
export class NamespaceDecoder {
  readonly #sources: readonly Source[];
  readonly #userInum: Reader;
  readonly #pidInum: Reader;
  readonly #pidNumbers: number;
  readonly #pidLevel: Reader;
  readonly #upidSize: number;
  readonly #upidNs: Reader;

  constructor(kernel: Kernel) {
    const source = (name: NamespaceName, member: string, struct: string): Source[] =>
      kernel.types.has("nsproxy", member)
        ? [
            {
              name,
              pointer: kernel.reader("nsproxy", member),
              inum: kernel.reader(struct, "ns.inum"),
            },
          ]
        : [];
    this.#sources = [
      ...source("cgroup", "cgroup_ns", "cgroup_namespace"),
      ...source("ipc", "ipc_ns", "ipc_namespace"),
      ...source("mnt", "mnt_ns", "mnt_namespace"),
      ...source("net", "net_ns", "net"),
      ...source("time", "time_ns", "time_namespace"),
      ...source("uts", "uts_ns", "uts_namespace"),
    ];
    this.#userInum = kernel.reader("user_namespace", "ns.inum");
    this.#pidInum = kernel.reader("pid_namespace", "ns.inum");
    this.#pidNumbers = kernel.offset("pid", "numbers");
    this.#pidLevel = kernel.reader("pid", "level");
    this.#upidSize = kernel.types.size("upid");
    this.#upidNs = kernel.reader("upid", "ns");
  }

  /**
   * `nsproxy` is NULL for a task that has exited. The pid namespace is the one that `pid` (the
   * task's `thread_pid`) was made in, not the one its children will get.
   */
  decode(nsproxy: GuestVirtual, userNamespace: GuestVirtual, pid: GuestVirtual): Namespaces {
    const result: Record<NamespaceName, number | undefined> = {
      cgroup: undefined,
      ipc: undefined,
      mnt: undefined,
      net: undefined,
      time: undefined,
      uts: undefined,
      user: known(this.#userInum(userNamespace)),
      pid: known(this.#pidInum(this.pidNamespace(pid))),
    };
    for (const { name, pointer, inum } of this.#sources) {
      result[name] = known(inum(pointer(nsproxy)));
    }
    return result;
  }

  /** The `pid_namespace` that a `struct pid` was made in. */
  pidNamespace(pid: GuestVirtual): GuestVirtual {
    const level = this.#pidLevel(pid);
    // MAX_PID_NS_LEVEL (include/linux/pid_namespace.h).
    if (!(level <= 32)) return Number.NaN;
    return this.#upidNs(pid + this.#pidNumbers + level * this.#upidSize);
  }
}

function known(value: number): number | undefined {
  return value === value ? value : undefined;
}
