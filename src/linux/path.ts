import type { GuestVirtual } from "../base/address.ts";
import { SyntheticNames } from "./dname.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PointerCache } from "./pointer-cache.ts";
import { TextRoom } from "./text-room.ts";

/** Deepest nesting followed; PATH_MAX allows 2,048 components. */
const MAX_COMPONENTS = 2048;
/** Four times what the kernel itself can name (PATH_MAX, include/uapi/linux/limits.h). */
const MAX_LENGTH = 16_384;
const MAX_NAME = 255;

/** A text, and what it was made of: a dentry that was freed and used anew has another name. */
type KnownPath = {
  readonly mnt: GuestVirtual;
  readonly parent: GuestVirtual;
  readonly hash: number;
  readonly text: string;
};

/** Turns a `struct path` into text as the kernel's `d_path` does (fs/d_path.c). */
export class Paths {
  readonly #kernel: Kernel;
  readonly #mnt: Reader;
  readonly #dentry: Reader;
  readonly #parent: Reader;
  readonly #name: Reader;
  readonly #nameLength: Reader;
  readonly #hash: Reader;
  readonly #inode: Reader;
  readonly #operations: Reader;
  readonly #hashed: Reader;
  readonly #dname: Reader;
  readonly #mntRoot: Reader;
  readonly #mountSuper: Reader;
  readonly #dentrySuper: Reader;
  readonly #mountOffset: number;
  readonly #mountParent: Reader;
  readonly #mountpoint: Reader;
  readonly #synthetic: SyntheticNames;
  #room = new TextRoom();
  readonly #known = new PointerCache<KnownPath>();
  readonly #directories = new PointerCache<KnownPath>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#mnt = kernel.reader("path", "mnt");
    this.#dentry = kernel.reader("path", "dentry");
    this.#parent = kernel.reader("dentry", "d_parent");
    this.#name = kernel.reader("dentry", "d_name.name");
    this.#nameLength = kernel.reader("dentry", "d_name.len");
    this.#hash = kernel.reader("dentry", "d_name.hash");
    this.#inode = kernel.reader("dentry", "d_inode");
    this.#operations = kernel.reader("dentry", "d_op");
    this.#hashed = kernel.reader("dentry", "d_hash.pprev");
    this.#dname = kernel.reader("dentry_operations", "d_dname");
    this.#mntRoot = kernel.reader("vfsmount", "mnt_root");
    this.#mountSuper = kernel.reader("vfsmount", "mnt_sb");
    this.#dentrySuper = kernel.reader("dentry", "d_sb");
    this.#mountOffset = kernel.offset("mount", "mnt");
    this.#mountParent = kernel.reader("mount", "mnt_parent");
    this.#mountpoint = kernel.reader("mount", "mnt_mountpoint");
    this.#synthetic = new SyntheticNames(kernel);
  }

  /**
   * Text of the `struct path` at `path`, as seen from the root of the mount namespace that it
   * belongs to; undefined where it cannot be read. Remembered until `forget`.
   */
  text(path: GuestVirtual): string | undefined {
    const mnt = this.#mnt(path);
    const dentry = this.#dentry(path);
    const parent = this.#parent(dentry);
    const hash = this.#hash(dentry);
    const known = this.#known.get(dentry);
    if (known?.mnt === mnt && known.parent === parent && known.hash === hash) return known.text;
    const made = this.#syntheticName(mnt, dentry);
    const text = made ?? this.absolute(mnt, dentry);
    if (text === undefined || !this.#room.take(text.length)) return undefined;
    // Of a pipe or socket the name is its inode's, which the dentry's own name does not tell.
    if (made === undefined) this.#known.set(dentry, { mnt, parent, hash, text });
    return text;
  }

  /** Forgets names, which may change in a running guest. */
  forget(): void {
    this.#room = new TextRoom();
    this.#known.clear();
    this.#directories.clear();
  }

  /** Some paths were left out: together they are longer than any true ones. */
  get exhausted(): boolean {
    return this.#room.exhausted;
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

  /** The `struct mount` of a `struct path`. */
  mount(path: GuestVirtual): GuestVirtual {
    return this.#mnt(path) - this.#mountOffset;
  }

  /** Whether memory holds a `struct path`: its mount and its dentry are of the same filesystem. */
  sound(path: GuestVirtual): boolean {
    const filesystem = this.#mountSuper(this.#mnt(path));
    return filesystem < 0 && filesystem === this.#dentrySuper(this.#dentry(path));
  }

  /** Unlinked while open: gone from the hash, and no root (d_unlinked in include/linux/dcache.h). */
  deleted(dentry: GuestVirtual): boolean {
    return this.#hashed(dentry) === 0 && this.#parent(dentry) !== dentry;
  }

  /** From the root of the whole mount tree down, with ` (deleted)` where it is. */
  absolute(mnt: GuestVirtual, dentry: GuestVirtual): string | undefined {
    const parent = this.#parent(dentry);
    if (parent !== dentry && dentry !== this.#mntRoot(mnt)) {
      const name = this.name(dentry);
      const directory = this.#directory(mnt, parent);
      if (name === undefined || directory === undefined) return undefined;
      const text = directory === "/" ? `/${name}` : `${directory}/${name}`;
      return this.deleted(dentry) ? `${text} (deleted)` : text;
    }
    return this.#directory(mnt, dentry);
  }

  /** Directories repeat from file to file. */
  #directory(mnt: GuestVirtual, dentry: GuestVirtual): string | undefined {
    const parent = this.#parent(dentry);
    const hash = this.#hash(dentry);
    const known = this.#directories.get(dentry);
    if (known?.mnt === mnt && known.parent === parent && known.hash === hash) return known.text;
    const text = this.#prepend(mnt, dentry);
    if (text !== undefined) this.#directories.set(dentry, { mnt, parent, hash, text });
    return text;
  }

  /** prepend_path of fs/d_path.c. */
  #prepend(mnt: GuestVirtual, dentry: GuestVirtual): string | undefined {
    const names: string[] = [];
    let length = 0;
    let vfsmount = mnt;
    let at = dentry;
    for (let step = 0; step < MAX_COMPONENTS && length < MAX_LENGTH; step++) {
      const parent = this.#parent(at);
      if (at === this.#mntRoot(vfsmount)) {
        const mount = vfsmount - this.#mountOffset;
        const above = this.#mountParent(mount);
        if (above !== above) return undefined;
        if (above === mount) return `/${names.toReversed().join("/")}`;
        at = this.#mountpoint(mount);
        vfsmount = above + this.#mountOffset;
        continue;
      }
      // A root that is not the mount's: the path left its bind mount by a rename.
      if (at === parent) return `/${names.toReversed().join("/")}`;
      const name = this.name(at);
      if (name === undefined) return undefined;
      names.push(name);
      length += name.length + 1;
      at = parent;
    }
    return undefined;
  }

  #syntheticName(mnt: GuestVirtual, dentry: GuestVirtual): string | undefined {
    const operations = this.#operations(dentry);
    if (operations !== operations || operations === 0) return undefined;
    const dname = this.#dname(operations);
    if (dname !== dname || dname === 0) return undefined;
    if (this.#parent(dentry) === dentry && dentry === this.#mntRoot(mnt)) return undefined;
    const name = this.name(dentry) ?? "?";
    return this.#synthetic.name(dname, { inode: this.#inode(dentry), name });
  }
}
