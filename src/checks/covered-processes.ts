import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Reader } from "../linux/member-reader.ts";
import { MountNamespaces } from "../linux/mount-namespace.ts";
import { Paths } from "../linux/path.ts";
import type { Check } from "./check.ts";

const TYPE_NAME = 16;
/** Deeper than any folder of /proc. */
const MAX_DEPTH = 64;

/** Nothing is mounted over what /proc tells of a process. */
export const coveredProcesses: Check = {
  id: "covered-processes",
  proves:
    "In no mount namespace is anything mounted upon /proc/PID, which hides a process from ps and top, and nothing but a procfs upon /proc or upon the kernel's lists where the first process is.",
  reads: "mounts of every mount namespace; the dentries that they lie upon",
  attack: ["T1564.001", "T1564"],
  limits:
    "A procfs that hides other users' processes by its options (hidepid) is a setting of administrators and stays silent.",
  run(context) {
    const { kernel } = context;
    const problem = (reason: string): void => context.unseen(reason);
    const budget = kernel.budget();
    const namespaces = new MountNamespaces(kernel);
    const places = new ProcPlaces(kernel);
    for (const { address, inum, pid: member } of namespaces.all(budget, problem)) {
      const mounts = namespaces.mounts(address, budget, problem);
      context.cover(mounts.length);
      for (const mount of mounts) {
        const path = places.coveredBy(mount);
        if (path === undefined) continue;
        const [, , pid] = /^\/proc\/((\d+)(\/|$))/.exec(path) ?? [];
        // Containers are shown other lists than the machine's; the first process's are the machine's.
        const isList = member === 1 && isCoveredList(path, places.filesystem(mount));
        if (pid === undefined && !isList) continue;
        context.report({
          severity: "high",
          confidence: "high",
          title:
            pid === undefined
              ? `What the kernel lists is hidden: something is mounted upon ${path}.`
              : `Process ${pid} is hidden from ps: something is mounted upon ${path}.`,
          subject: { path, namespace: inum },
          evidence: {
            mount: kernel.format(mount),
            filesystem: places.filesystem(mount) ?? null,
            seenBy: member ?? null,
          },
        });
      }
    }
  },
};

/** What tools ask for modules, symbols, keys and the log; or all of /proc under something else. */
const LISTS = /^\/proc\/(modules|kallsyms|kcore|kmsg|keys|iomem|vmallocinfo|net)$/;

function isCoveredList(path: string, filesystem: string | undefined): boolean {
  return (
    LISTS.test(path) || (path === "/proc" && filesystem !== undefined && filesystem !== "proc")
  );
}

class ProcPlaces {
  readonly #kernel: Kernel;
  readonly #paths: Paths;
  readonly #mountpoint: Reader;
  readonly #mountSuper: Reader;
  readonly #super: Reader;
  readonly #parent: Reader;
  readonly #type: Reader;
  readonly #typeName: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#paths = new Paths(kernel);
    this.#mountpoint = kernel.reader("mount", "mnt_mountpoint");
    this.#mountSuper = kernel.reader("mount", "mnt.mnt_sb");
    this.#super = kernel.reader("dentry", "d_sb");
    this.#parent = kernel.reader("dentry", "d_parent");
    this.#type = kernel.reader("super_block", "s_type");
    this.#typeName = kernel.reader("file_system_type", "name");
  }

  /** The path in /proc that a mount covers; undefined where it lies upon something else. */
  coveredBy(mount: GuestVirtual): string | undefined {
    let at = this.#mountpoint(mount);
    if (this.#typeOf(this.#super(at)) !== "proc") return undefined;
    const names: string[] = [];
    for (let depth = 0; depth < MAX_DEPTH && this.#parent(at) !== at; depth++) {
      names.push(this.#paths.name(at) ?? "?");
      at = this.#parent(at);
    }
    return ["/proc", ...names.toReversed()].join("/");
  }

  /** Of what is mounted. */
  filesystem(mount: GuestVirtual): string | undefined {
    return this.#typeOf(this.#mountSuper(mount));
  }

  #typeOf(block: GuestVirtual): string | undefined {
    return this.#kernel.space.string(this.#typeName(this.#type(block)), TYPE_NAME);
  }
}
