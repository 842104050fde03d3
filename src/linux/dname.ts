import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

const MAX_NAME = 255;

/** What a `d_dname` function has to go by. */
type Dentry = { readonly inode: GuestVirtual; readonly name: string };

/**
 * Names that filesystems without directories make up themselves (`dentry_operations.d_dname`):
 * pipes, sockets, anonymous inodes, namespaces, memory files. The function is known by its symbol.
 */
export class SyntheticNames {
  readonly #kernel: Kernel;
  readonly #ino: Reader;
  readonly #private: Reader;
  readonly #nsOps: Reader;
  readonly #nsName: Reader;
  readonly #makers = new Map<GuestVirtual, string>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#ino = kernel.reader("inode", "i_ino");
    this.#private = kernel.reader("inode", "i_private");
    this.#nsOps = kernel.reader("ns_common", "ops");
    this.#nsName = kernel.reader("proc_ns_operations", "name");
  }

  /** The name that the function at `dname` gives; undefined where it is none that we know. */
  name(dname: GuestVirtual, dentry: Dentry): string | undefined {
    switch (this.#maker(dname)) {
      case "simple_dname":
        return `/${dentry.name} (deleted)`;
      case "anon_inodefs_dname":
        return `anon_inode:${dentry.name}`;
      case "pidfs_dname":
        return "anon_inode:[pidfd]";
      case "pipefs_dname":
        return `pipe:[${this.#ino(dentry.inode)}]`;
      case "sockfs_dname":
        return `socket:[${this.#ino(dentry.inode)}]`;
      case "ns_dname":
        return `${this.#namespaceKind(dentry.inode)}:[${this.#ino(dentry.inode)}]`;
      default:
        return undefined;
    }
  }

  /** `inode->i_private` is the `struct ns_common` (fs/nsfs.c). */
  #namespaceKind(inode: GuestVirtual): string {
    const name = this.#nsName(this.#nsOps(this.#private(inode)));
    return this.#kernel.space.string(name, MAX_NAME) ?? "ns";
  }

  #maker(dname: GuestVirtual): string {
    let maker = this.#makers.get(dname);
    if (maker === undefined) {
      maker = this.#kernel.symbols.at(dname)?.name ?? "";
      this.#makers.set(dname, maker);
    }
    return maker;
  }
}
