import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { SlabOwners } from "./slab.ts";
import type { Field } from "./struct-window.ts";
import { StructWindow } from "./struct-window.ts";

/** Tables of functions that single objects lead to. */
export type ObjectStruct =
  | "file_operations"
  | "inode_operations"
  | "address_space_operations"
  | "dentry_operations"
  | "seq_operations"
  | "vm_operations_struct";

/**
 * Told of each pointer to a table: where it leads, where it lies, the inode that it is about and that
 * one's `super_block`. There may be a hundred thousand.
 */
export type TableVisitor = (
  struct: ObjectStruct,
  table: GuestVirtual,
  slot: GuestVirtual,
  inode: GuestVirtual,
  superBlock: GuestVirtual,
) => void;

/** Reads which tables of functions files, inodes and dentries lead to (include/linux/fs.h, dcache.h). */
export class ObjectTables {
  readonly #kernel: Kernel;
  readonly #slabs: SlabOwners;
  readonly #sequences: GuestVirtual;
  readonly #inodeOf: Reader;
  readonly #dentryOf: Reader;
  readonly #private: Reader;
  readonly #blockOf: Reader;
  readonly #ownerOf: Reader;
  readonly #inode: StructWindow;
  readonly #fields: Readonly<Record<"inode" | "file" | "mapping" | "superBlock" | "next", Field>>;
  readonly #offsets: Readonly<Record<"file" | "inode" | "inodeFile" | "pages" | "dentry", number>>;
  readonly #link: number;
  readonly #sequence: number;
  readonly #names: number;
  readonly #alias: number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#slabs = new SlabOwners(kernel);
    this.#sequences = this.#slabs.named("seq_file_cache");
    this.#inodeOf = kernel.reader("file", "f_inode");
    this.#dentryOf = kernel.reader("file", "f_path.dentry");
    this.#private = kernel.reader("file", "private_data");
    this.#blockOf = kernel.reader("inode", "i_sb");
    this.#ownerOf = kernel.reader("dentry", "d_inode");
    this.#link = kernel.offset("inode", "i_sb_list");
    this.#inode = new StructWindow(kernel, "inode");
    this.#fields = {
      inode: this.#inode.field("i_op"),
      file: this.#inode.field("i_fop"),
      mapping: this.#inode.field("i_mapping"),
      superBlock: this.#inode.field("i_sb"),
      next: this.#inode.field("i_sb_list.next"),
    };
    this.#offsets = {
      file: kernel.offset("file", "f_op"),
      inode: kernel.offset("inode", "i_op"),
      inodeFile: kernel.offset("inode", "i_fop"),
      pages: kernel.offset("address_space", "a_ops"),
      dentry: kernel.offset("dentry", "d_op"),
    };
    this.#sequence = kernel.offset("seq_file", "op");
    this.#names = kernel.offset("inode", "i_dentry");
    // A union of its own until 7.1.
    const { types } = kernel;
    const alias = types.member("dentry", "d_u.d_alias") ?? types.require("dentry", "d_alias");
    this.#alias = alias.offset;
  }

  /** Of an open file, and of the inode and the name that it was opened by. */
  ofFile(file: GuestVirtual, visit: TableVisitor): void {
    const { space } = this.#kernel;
    const inode = this.#inodeOf(file);
    const superBlock = inode < 0 ? this.#ofInode(inode, visit) : Number.NaN;
    const tell = (struct: ObjectStruct, slot: GuestVirtual): void =>
      visit(struct, space.pointer(slot), slot, inode, superBlock);
    tell("file_operations", file + this.#offsets.file);
    const content = this.#private(file);
    // A file that is shown line by line (fs/seq_file.c) has its state in a cache for nothing else.
    if (content < 0 && this.#slabs.of(content) === this.#sequences) {
      tell("seq_operations", content + this.#sequence);
    }
    const dentry = this.#dentryOf(file);
    if (dentry < 0) tell("dentry_operations", dentry + this.#offsets.dentry);
  }

  /**
   * Of an inode in a super block's list, and of each of its names that is in memory; false where
   * those run in a circle. One that has left the list since it was read is freed: its members are
   * used for something else by then (free_inode and i_rcu lie where i_fop and i_dentry did).
   */
  ofInode(
    inode: GuestVirtual,
    superBlock: GuestVirtual,
    budget: Budget,
    visit: TableVisitor,
  ): boolean {
    const { space } = this.#kernel;
    this.#ofInode(inode, visit, superBlock);
    let node = space.pointer(inode + this.#names);
    let watch: CircleWatch | undefined;
    while (node < 0 && budget.step()) {
      const dentry = node - this.#alias;
      const slot = dentry + this.#offsets.dentry;
      const table = space.pointer(slot);
      const next = space.pointer(node);
      // A name is taken from its inode before its links are used for something else (d_rcu).
      if (this.#ownerOf(dentry) !== inode || !this.#isListed(inode, superBlock)) return true;
      visit("dentry_operations", table, slot, inode, superBlock);
      node = next;
      // Nearly all have one name: nothing is made for them.
      if (node < 0 && (watch ??= new CircleWatch()).isBack(node)) return false;
    }
    return true;
  }

  /** evict() takes an inode out of the list, which then leads to itself, before it is freed. */
  #isListed(inode: GuestVirtual, superBlock: GuestVirtual): boolean {
    const link = inode + this.#link;
    const next = this.#kernel.space.pointer(link);
    return next < 0 && next !== link && this.#blockOf(inode) === superBlock;
  }

  /** Returns its super block. Nothing is told of an inode that has left the list of `listedIn`. */
  #ofInode(inode: GuestVirtual, visit: TableVisitor, listedIn?: GuestVirtual): GuestVirtual {
    this.#inode.load(inode);
    const fields = this.#fields;
    const superBlock = fields.superBlock();
    const operations = fields.inode();
    const files = fields.file();
    // What is told of may move the window.
    const mapping = fields.mapping();
    const slot = mapping + this.#offsets.pages;
    const pages = mapping < 0 ? this.#kernel.space.pointer(slot) : 0;
    // Read last, of what is the guest's own memory: see #isListed.
    const isListed = fields.next() !== inode + this.#link && fields.superBlock() === listedIn;
    if (listedIn !== undefined && !isListed) return superBlock;
    visit("inode_operations", operations, inode + this.#offsets.inode, inode, superBlock);
    visit("file_operations", files, inode + this.#offsets.inodeFile, inode, superBlock);
    if (mapping < 0) visit("address_space_operations", pages, slot, inode, superBlock);
    return superBlock;
  }
}
