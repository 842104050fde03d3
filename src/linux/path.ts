import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** Deepest nesting followed; PATH_MAX allows 2,048 components. */
const MAX_COMPONENTS = 2048;
const MAX_NAME = 255;

/** Turns a `struct path` into text as the kernel's `d_path` does (fs/d_path.c). */
export class Paths {
  readonly #kernel: Kernel;
  readonly #mnt: Reader;
  readonly #dentry: Reader;
  readonly #parent: Reader;
  readonly #name: Reader;
  readonly #nameLength: Reader;
  readonly #inode: Reader;
  readonly #operations: Reader;
  readonly #hashed: Reader;
  readonly #dname: Reader;
  readonly #ino: Reader;
  readonly #mntRoot: Reader;
  readonly #mountOffset: number;
  readonly #mountParent: Reader;
  readonly #mountpoint: Reader;
  readonly #known = new Map<GuestVirtual, { mnt: GuestVirtual; text: string }>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#mnt = kernel.reader("path", "mnt");
    this.#dentry = kernel.reader("path", "dentry");
    this.#parent = kernel.reader("dentry", "d_parent");
    this.#name = kernel.reader("dentry", "d_name.name");
    this.#nameLength = kernel.reader("dentry", "d_name.len");
    this.#inode = kernel.reader("dentry", "d_inode");
    this.#operations = kernel.reader("dentry", "d_op");
    this.#hashed = kernel.reader("dentry", "d_hash.pprev");
    this.#dname = kernel.reader("dentry_operations", "d_dname");
    this.#ino = kernel.reader("inode", "i_ino");
    this.#mntRoot = kernel.reader("vfsmount", "mnt_root");
    this.#mountOffset = kernel.offset("mount", "mnt");
    this.#mountParent = kernel.reader("mount", "mnt_parent");
    this.#mountpoint = kernel.reader("mount", "mnt_mountpoint");
  }

  /** Text of the `struct path` at `path`; undefined where it cannot be read. Remembered for the life of this object. */
  text(path: GuestVirtual): string | undefined {
    const mnt = this.#mnt(path);
    const dentry = this.#dentry(path);
    const known = this.#known.get(dentry);
    if (known !== undefined && known.mnt === mnt) return known.text;
    const text = this.#synthetic(mnt, dentry) ?? this.absolute(mnt, dentry);
    if (text !== undefined) this.#known.set(dentry, { mnt, text });
    return text;
  }

  /** Last component of a dentry. */
  name(dentry: GuestVirtual): string | undefined {
    const length = this.#nameLength(dentry);
    if (!(length <= MAX_NAME)) return undefined;
    return this.#kernel.space.string(this.#name(dentry), length);
  }

  /** The inode of a dentry; 0 for a negative one. */
  inode(dentry: GuestVirtual): GuestVirtual {
    return this.#inode(dentry);
  }

  /** The dentry of a `struct path`. */
  dentry(path: GuestVirtual): GuestVirtual {
    return this.#dentry(path);
  }

  /** Unlinked while open: gone from the hash, and no root (d_unlinked in include/linux/dcache.h). */
  deleted(dentry: GuestVirtual): boolean {
    return this.#hashed(dentry) === 0 && this.#parent(dentry) !== dentry;
  }

  /** From the root of the whole mount tree down, with ` (deleted)` where it is. */
  absolute(mnt: GuestVirtual, dentry: GuestVirtual): string | undefined {
    const names: string[] = [];
    let vfsmount = mnt;
    let at = dentry;
    for (let step = 0; step < MAX_COMPONENTS; step++) {
      const parent = this.#parent(at);
      if (at === this.#mntRoot(vfsmount) || at === parent) {
        const mount = vfsmount - this.#mountOffset;
        const above = this.#mountParent(mount);
        if (above !== above) return undefined;
        if (above === mount) return this.#join(names, dentry);
        at = this.#mountpoint(mount);
        vfsmount = above + this.#mountOffset;
        continue;
      }
      const name = this.name(at);
      if (name === undefined) return undefined;
      names.push(name);
      at = parent;
    }
    return undefined;
  }

  #join(names: string[], dentry: GuestVirtual): string {
    const text = `/${names.toReversed().join("/")}`;
    return this.deleted(dentry) ? `${text} (deleted)` : text;
  }

  /** Pipes, sockets, anonymous inodes and memory files make their own names. */
  #synthetic(mnt: GuestVirtual, dentry: GuestVirtual): string | undefined {
    const operations = this.#operations(dentry);
    if (operations !== operations || operations === 0) return undefined;
    const dname = this.#dname(operations);
    if (dname !== dname || dname === 0) return undefined;
    const isMountRoot = this.#parent(dentry) === dentry && dentry === this.#mntRoot(mnt);
    if (isMountRoot) return undefined;
    const maker = this.#kernel.symbols.at(dname)?.name ?? "";
    if (maker === "simple_dname") return `/${this.name(dentry) ?? "?"} (deleted)`;
    if (maker === "anon_inodefs_dname") return `anon_inode:${this.name(dentry) ?? "?"}`;
    const kind = /^(pipe|sock|ns|pid)fs_dname$|^(ns)_dname$/.exec(maker)?.[1];
    if (kind === "pipe") return `pipe:[${this.#ino(this.#inode(dentry))}]`;
    if (kind === "sock") return `socket:[${this.#ino(this.#inode(dentry))}]`;
    return undefined;
  }
}
