import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { SlabOwners } from "./slab.ts";

/** Tables of functions that single objects lead to. */
export type ObjectStruct =
  | "file_operations"
  | "inode_operations"
  | "address_space_operations"
  | "dentry_operations"
  | "seq_operations";

/** Told of each pointer to a table: where it leads, where it lies, and the inode that it is about. */
export type TableVisitor = (
  struct: ObjectStruct,
  table: GuestVirtual,
  slot: GuestVirtual,
  inode: GuestVirtual,
) => void;

/** Reads which tables of functions files, inodes and dentries lead to (include/linux/fs.h, dcache.h). */
export class ObjectTables {
  readonly #kernel: Kernel;
  readonly #slabs: SlabOwners;
  readonly #sequences: GuestVirtual;
  readonly #inodeOf: Reader;
  readonly #dentryOf: Reader;
  readonly #private: Reader;
  readonly #mapping: Reader;
  readonly #offsets: Readonly<Record<"file" | "inode" | "inodeFile" | "pages" | "dentry", number>>;
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
    this.#mapping = kernel.reader("inode", "i_mapping");
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
    const inode = this.#inodeOf(file);
    this.#tell("file_operations", file + this.#offsets.file, inode, visit);
    const content = this.#private(file);
    // A file that is shown line by line (fs/seq_file.c) has its state in a cache for nothing else.
    if (content < 0 && this.#slabs.of(content) === this.#sequences) {
      this.#tell("seq_operations", content + this.#sequence, inode, visit);
    }
    const dentry = this.#dentryOf(file);
    if (dentry < 0) {
      this.#tell("dentry_operations", dentry + this.#offsets.dentry, inode, visit);
    }
    if (inode < 0) this.#ofInode(inode, visit);
  }

  /** Of an inode, and of each of its names that is in memory. */
  ofInode(inode: GuestVirtual, budget: Budget, visit: TableVisitor): void {
    const { space } = this.#kernel;
    this.#ofInode(inode, visit);
    let node = space.pointer(inode + this.#names);
    while (node < 0 && budget.step()) {
      const slot = node - this.#alias + this.#offsets.dentry;
      this.#tell("dentry_operations", slot, inode, visit);
      node = space.pointer(node);
    }
  }

  #ofInode(inode: GuestVirtual, visit: TableVisitor): void {
    this.#tell("inode_operations", inode + this.#offsets.inode, inode, visit);
    this.#tell("file_operations", inode + this.#offsets.inodeFile, inode, visit);
    const mapping = this.#mapping(inode);
    if (mapping < 0) {
      this.#tell("address_space_operations", mapping + this.#offsets.pages, inode, visit);
    }
  }

  #tell(struct: ObjectStruct, slot: GuestVirtual, inode: GuestVirtual, visit: TableVisitor): void {
    visit(struct, this.#kernel.space.pointer(slot), slot, inode);
  }
}
