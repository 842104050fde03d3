import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { SyntheticNames } from "./dname.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { filesystemOptions, mountOptions } from "./mount-flags.ts";
import { Overlays } from "./overlay.ts";
import type { OverlayLayers } from "./overlay.ts";
import { Paths } from "./path.ts";

/** One mount, with the words of /proc/PID/mountinfo. */
export type Mount = {
  readonly id: number;
  readonly parent: number;
  /** Path of its root within its filesystem. */
  readonly root: string;
  /** Path in its namespace. */
  readonly mountpoint: string;
  readonly fstype: string;
  readonly source: string;
  /** `major:minor` of its filesystem. */
  readonly device: string;
  readonly options: readonly string[];
  /** Only those that every kind of filesystem has. */
  readonly superOptions: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly propagation: readonly string[];
  /** Another one is mounted upon its root, so its files cannot be seen there. */
  readonly covered: boolean;
  /** Of an overlay; undefined for others, and where the types of the module cannot be had. */
  readonly overlay: OverlayLayers | undefined;
  readonly superBlock: GuestVirtual;
  /** Address of its `struct mount`. */
  readonly mount: GuestVirtual;
};

const MAX_DEVICE_NAME = 4096;
const MAX_COMPONENTS = 2048;
const MAX_MASTERS = 1024;
/** MNT_SHARED and MNT_UNBINDABLE, and their bits in `mnt_t_flags`, where they are since 6.17. */
const FLAGS = { shared: 0x1000, unbindable: 0x2000 };
const T_FLAGS = { shared: 1, unbindable: 2 };

/** Decodes `struct mount` (fs/mount.h) and `struct super_block`. */
export class Mounts {
  readonly #kernel: Kernel;
  readonly #paths: Paths;
  readonly #fields: Record<
    "id" | "group" | "parent" | "mountpoint" | "master" | "source" | "flags" | "root" | "block",
    Reader
  >;
  readonly #blockFields: Record<"device" | "type" | "subtype" | "flags", Reader>;
  readonly #typeName: Reader;
  readonly #overlays: Overlays;
  readonly #dentryParent: Reader;
  readonly #dentryOperations: Reader;
  readonly #dentryName: Reader;
  readonly #synthetic: SyntheticNames;
  readonly #vfsmount: number;
  readonly #propagationFlags: Reader;
  readonly #propagationBits: typeof FLAGS;
  readonly #idmap: { readonly of: Reader; readonly none: GuestVirtual } | undefined;

  constructor(kernel: Kernel) {
    const field = (member: string): Reader => kernel.reader("mount", member);
    const block = (member: string): Reader => kernel.reader("super_block", member);
    this.#kernel = kernel;
    this.#paths = new Paths(kernel);
    this.#fields = {
      id: field("mnt_id"),
      group: field("mnt_group_id"),
      parent: field("mnt_parent"),
      mountpoint: field("mnt_mountpoint"),
      master: field("mnt_master"),
      source: field("mnt_devname"),
      flags: field("mnt.mnt_flags"),
      root: field("mnt.mnt_root"),
      block: field("mnt.mnt_sb"),
    };
    this.#blockFields = {
      device: block("s_dev"),
      type: block("s_type"),
      subtype: block("s_subtype"),
      flags: block("s_flags"),
    };
    this.#overlays = new Overlays(kernel);
    this.#typeName = kernel.reader("file_system_type", "name");
    this.#dentryParent = kernel.reader("dentry", "d_parent");
    this.#dentryOperations = kernel.reader("dentry", "d_op");
    this.#dentryName = kernel.reader("dentry_operations", "d_dname");
    this.#synthetic = new SyntheticNames(kernel);
    this.#vfsmount = kernel.offset("mount", "mnt");
    const own = kernel.readerOf("mount", "mnt_t_flags");
    this.#propagationFlags = own ?? this.#fields.flags;
    this.#propagationBits = own === undefined ? FLAGS : T_FLAGS;
    this.#idmap = idmapReader(kernel);
  }

  /** The mounts of one namespace. One that cannot be read is told and left out. */
  *decodeAll(
    mounts: readonly GuestVirtual[],
    budget: Budget,
    problem: (reason: string) => void,
  ): Generator<Mount> {
    const covered = new Set(mounts.map((mount) => this.#coveredBy(mount)));
    const groups = new Set(mounts.map((mount) => (this.#isShared(mount) ? this.#group(mount) : 0)));
    for (const mount of mounts) {
      if (!budget.step()) return problem("the time for reading mounts is over");
      const decoded = this.#decode(mount, groups, covered);
      if (decoded !== undefined) yield decoded;
      else problem(`the mount at ${this.#kernel.format(mount)} cannot be read`);
    }
    return undefined;
  }

  #decode(
    mount: GuestVirtual,
    groups: ReadonlySet<number>,
    covered: ReadonlySet<string>,
  ): Mount | undefined {
    const fields = this.#fields;
    const superBlock = fields.block(mount);
    const device = this.#blockFields.device(superBlock);
    const parent = fields.parent(mount);
    const id = fields.id(mount);
    const fstype = this.#typeOf(superBlock);
    const root = this.#rootText(fields.root(mount), fstype);
    const mountpoint =
      parent === mount
        ? "/"
        : this.#paths.absolute(parent + this.#vfsmount, fields.mountpoint(mount));
    if (root === undefined || mountpoint === undefined || fstype === undefined) return undefined;
    return {
      id,
      parent: fields.id(parent),
      root,
      mountpoint,
      fstype,
      source: this.#sourceOf(mount),
      // MAJOR and MINOR of the kernel's own dev_t (include/linux/kdev_t.h).
      device: `${Math.floor(device / 2 ** 20)}:${device % 2 ** 20}`,
      options: mountOptions(fields.flags(mount), this.#isIdmapped(mount)),
      superOptions: filesystemOptions(this.#blockFields.flags(superBlock)),
      propagation: this.#propagation(mount, groups),
      covered: covered.has(`${mount}/${fields.root(mount)}`),
      overlay: fstype === "overlay" ? this.#overlays.of(superBlock) : undefined,
      superBlock,
      mount,
    };
  }

  /** Where a mount hangs, so that the one below it can be told to be covered. */
  #coveredBy(mount: GuestVirtual): string {
    const parent = this.#fields.parent(mount);
    return parent === mount ? "" : `${parent}/${this.#fields.mountpoint(mount)}`;
  }

  #group(mount: GuestVirtual): number {
    return this.#fields.group(mount);
  }

  #isShared(mount: GuestVirtual): boolean {
    return (this.#propagationFlags(mount) & this.#propagationBits.shared) !== 0;
  }

  #isIdmapped(mount: GuestVirtual): boolean {
    return this.#idmap !== undefined && this.#idmap.of(mount) !== this.#idmap.none;
  }

  /** As show_mountinfo (fs/proc_namespace.c) tells it; `groups` are the namespace's own. */
  #propagation(mount: GuestVirtual, groups: ReadonlySet<number>): string[] {
    const words = this.#isShared(mount) ? [`shared:${this.#group(mount)}`] : [];
    let master = this.#fields.master(mount);
    if (master < 0) {
      const nearest = this.#group(master);
      words.push(`master:${nearest}`);
      for (let step = 0; master < 0 && step < MAX_MASTERS; step++) {
        const group = this.#group(master);
        if (group !== 0 && groups.has(group)) {
          if (group !== nearest) words.push(`propagate_from:${group}`);
          break;
        }
        master = this.#fields.master(master);
      }
    }
    if ((this.#propagationFlags(mount) & this.#propagationBits.unbindable) !== 0) {
      words.push("unbindable");
    }
    return words;
  }

  /** A mounted namespace shows what it is, `net:[4026532138]` (nsfs_show_path in fs/nsfs.c). */
  #rootText(dentry: GuestVirtual, fstype: string | undefined): string | undefined {
    if (fstype !== "nsfs") return this.#rootPath(dentry);
    const maker = this.#dentryName(this.#dentryOperations(dentry));
    return this.#synthetic.name(maker, { inode: this.#paths.inode(dentry), name: "" });
  }

  /** From the filesystem's root down, whatever is mounted where (dentry_path in fs/d_path.c). */
  #rootPath(dentry: GuestVirtual): string | undefined {
    const names: string[] = [];
    let at = dentry;
    for (let step = 0; step < MAX_COMPONENTS; step++) {
      const parent = this.#dentryParent(at);
      if (parent === at) {
        const path = `/${names.toReversed().join("/")}`;
        return this.#paths.deleted(dentry) ? `${path}//deleted` : path;
      }
      const name = this.#paths.name(at);
      if (name === undefined || parent !== parent) return undefined;
      names.push(name);
      at = parent;
    }
    return undefined;
  }

  #typeOf(superBlock: GuestVirtual): string | undefined {
    const { space } = this.#kernel;
    const name = space.string(this.#typeName(this.#blockFields.type(superBlock)), 64);
    const subtype = this.#blockFields.subtype(superBlock);
    return subtype === 0 ? name : `${name}.${space.string(subtype, 64) ?? "?"}`;
  }

  #sourceOf(mount: GuestVirtual): string {
    const name = this.#fields.source(mount);
    if (name === 0) return "none";
    return this.#kernel.space.string(name, MAX_DEVICE_NAME) ?? "?";
  }
}

/** Since 5.12 a mount may show other owners than the filesystem has. */
function idmapReader(kernel: Kernel): { of: Reader; none: GuestVirtual } | undefined {
  const idmap = kernel.readerOf("mount", "mnt.mnt_idmap");
  if (idmap !== undefined) return { of: idmap, none: kernel.symbol("nop_mnt_idmap") };
  // A user namespace before 6.2.
  const owner = kernel.readerOf("mount", "mnt.mnt_userns");
  return owner && { of: owner, none: kernel.symbol("init_user_ns") };
}
