import type { GuestVirtual } from "../base/address.ts";
import { isOwnDevice } from "../linux/device-tables.ts";
import { FdTables } from "../linux/fd-table.ts";
import { InodePaths } from "../linux/inode-path.ts";
import { Inodes } from "../linux/inode.ts";
import { ObjectTables } from "../linux/object-tables.ts";
import type { ObjectStruct, TableVisitor } from "../linux/object-tables.ts";
import { Tasks } from "../linux/task.ts";
import { VmaLists } from "../linux/vma-list.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { isOtherFileSystems } from "./file-system-tables.ts";
import { foreignModules, tellOwnerProblems } from "./function-target.ts";
import type { Allowed } from "./function-target.ts";
import { executableMemory } from "./memory-facts.ts";
import { OperationsChecker } from "./operations.ts";
import { userThreads } from "./user-facts.ts";

/**
 * include/uapi/linux/magic.h: ANON_INODE_FS, DEBUGFS, TRACEFS, DMA_BUF, whose files bring their tables
 * with them.
 */
const BRING_THEIR_OWN: ReadonlySet<number> = new Set([
  0x0904_1934, 0x6462_6720, 0x7472_6163, 0x444d_4142,
]);
const DEBUGFS = 0x6462_6720;
/** PROC_SUPER_MAGIC. */
const PROCFS = 0x9fa0;
const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const MAX_NAME = 64;

/** Each open file, inode and name leads to the functions of the kernel, or of its own file system. */
export const objectOperations: Check = {
  id: "object-operations",
  proves:
    "Each open file, each inode and name in memory, and each mapping of a process leads to tables of functions of the kernel, of a module of the distribution, or of the module that has its file system.",
  reads:
    "open files of every process; s_inodes of every super block, with their dentries; vm_ops of every mapping",
  attack: ["T1014", "T1564.001"],
  shares: ["kernel data", "kernel rodata"],
  limits:
    "Devices, except those of the kernel's own numbers, debugfs and anonymous inodes may have tables of any listed module. A table that is exchanged for another one of the kernel's is told of files and folders of common file systems only (ext4, xfs, btrfs, f2fs, overlay, tmpfs).",
  costly: true,
  run(context) {
    tellOwnerProblems(context);
    const uses = new Uses(context);
    const tables = new ObjectTables(context.kernel);
    visitFiles(context, tables, uses.visit);
    visitInodes(context, tables, uses.visit);
    visitMappings(context, uses.visit);
    context.cover(uses.pointers);
  },
};

/** Open files by every table of descriptors, each once: threads may have one of their own. */
function visitFiles(context: CheckContext, tables: ObjectTables, visit: TableVisitor): void {
  const { kernel, facts } = context;
  const { files } = new Tasks(kernel);
  const descriptors = new FdTables(kernel);
  const budget = kernel.budget();
  const { rows, problems } = facts.get(userThreads);
  for (const problem of problems) context.unseen(problem);
  const held = new Set(rows.map(({ task }) => files(task)));
  const seen = new Set<GuestVirtual>();
  for (const table of held) {
    if (!(table < 0)) continue;
    for (const { file } of descriptors.descriptors(table, budget)) {
      if (!seen.has(file)) tables.ofFile(file, visit);
      seen.add(file);
    }
  }
}

function visitInodes(context: CheckContext, tables: ObjectTables, visit: TableVisitor): void {
  const { kernel } = context;
  const inodes = new Inodes(kernel);
  const budget = kernel.budget();
  const unseen = (reason: string): void => context.unseen(reason);
  for (const block of inodes.superBlocks(budget, unseen)) {
    for (const inode of inodes.ofSuperBlock(block, budget, unseen)) {
      const whole = tables.ofInode(inode, block, budget, visit);
      if (!whole) unseen("the names of an inode run in a circle");
    }
  }
  if (budget.exhausted) context.unseen("there are more inodes than are looked at");
}

/** What is called when a process touches a page of a mapping (include/linux/mm.h). */
function visitMappings(context: CheckContext, visit: TableVisitor): void {
  const { kernel, facts } = context;
  const lists = new VmaLists(kernel);
  const file = kernel.reader("vm_area_struct", "vm_file");
  const inodeOf = kernel.reader("file", "f_inode");
  const blockOf = kernel.reader("inode", "i_sb");
  const operations = kernel.offset("vm_area_struct", "vm_ops");
  const budget = kernel.budget();
  for (const { mm } of facts.get(executableMemory).rows) {
    for (const vma of lists.areas(mm, budget)) {
      const table = kernel.space.pointer(vma + operations);
      const of = file(vma);
      const inode = of < 0 ? inodeOf(of) : 0;
      const block = inode < 0 ? blockOf(inode) : 0;
      // One that was given back while it was read is another's by now.
      if (!lists.belongs(vma, mm)) continue;
      visit("vm_operations_struct", table, vma + operations, inode, block);
    }
  }
}

type Pair = { readonly table: GuestVirtual; readonly superBlock: GuestVirtual };
const NO_PAIR: Pair = { table: 0, superBlock: 0 };

/** Judges each table once for each file system that leads to it. */
class Uses {
  readonly #context: CheckContext;
  readonly #checker: OperationsChecker;
  readonly #known = new Map<GuestVirtual, Set<GuestVirtual>>();
  readonly #mode: (inode: GuestVirtual) => number;
  readonly #device: (inode: GuestVirtual) => number;
  readonly #magic: (superBlock: GuestVirtual) => number;
  readonly #type: (superBlock: GuestVirtual) => GuestVirtual;
  readonly #singleStart: GuestVirtual;
  readonly #slots: { readonly inode: number; readonly file: number };
  readonly #last: Record<ObjectStruct, Pair> = {
    file_operations: NO_PAIR,
    inode_operations: NO_PAIR,
    address_space_operations: NO_PAIR,
    dentry_operations: NO_PAIR,
    seq_operations: NO_PAIR,
    vm_operations_struct: NO_PAIR,
  };
  #paths: InodePaths | undefined;
  pointers = 0;

  constructor(context: CheckContext) {
    const { kernel } = context;
    this.#context = context;
    this.#checker = new OperationsChecker(context);
    this.#mode = kernel.reader("inode", "i_mode");
    this.#device = kernel.reader("inode", "i_rdev");
    this.#magic = kernel.reader("super_block", "s_magic");
    this.#type = kernel.reader("super_block", "s_type");
    this.#slots = { inode: kernel.offset("inode", "i_op"), file: kernel.offset("inode", "i_fop") };
    this.#singleStart = kernel.symbol("single_start");
  }

  readonly visit: TableVisitor = (struct, table, slot, inode, superBlock) => {
    this.pointers++;
    // One after the other, objects of one file system mostly lead to the same.
    const last = this.#last[struct];
    if (last.table === table && last.superBlock === superBlock) return;
    this.#last[struct] = { table, superBlock };
    const known = this.#known.get(table) ?? new Set<GuestVirtual>();
    if (known.has(superBlock)) return;
    known.add(superBlock);
    this.#known.set(table, known);
    // A pointer of an object that is being freed; a lasting fault shows as a list that breaks off.
    if (table === 0 || table !== table) return;
    this.#check(struct, table, slot, inode, superBlock);
  };

  #check(
    struct: ObjectStruct,
    table: GuestVirtual,
    slot: GuestVirtual,
    inode: GuestVirtual,
    superBlock: GuestVirtual,
  ): void {
    const { facts } = this.#context;
    const home = facts.get(codeOwners).moduleAt(table)?.module ?? 0;
    const isForeign = facts.get(foreignModules).has(home);
    const mayBeForeign = !isForeign || this.#mayBeOf(home, inode, superBlock);
    const made = this.#made(struct, table, inode, superBlock);
    const isExchanged = this.#isExchanged(table, slot, inode, superBlock);
    const path = this.#path(inode, table, mayBeForeign && made === undefined && !isExchanged);
    if (isExchanged) this.#reportExchanged(struct, path, table, slot);
    this.#checker.check({
      what: `The ${struct.replaceAll("_", " ")} of ${path}`,
      struct,
      table,
      slot,
      subject: { path, struct },
      ...(mayBeForeign ? {} : { stranger: true }),
      ...(made === undefined ? {} : { made }),
    });
  }

  /** One of the kernel's own tables, in an inode of a file system that has others. */
  #isExchanged(
    table: GuestVirtual,
    slot: GuestVirtual,
    inode: GuestVirtual,
    superBlock: GuestVirtual,
  ): boolean {
    const { kernel, facts } = this.#context;
    // What an open file, a name or a page leads to may be shared between file systems.
    if (slot !== inode + this.#slots.inode && slot !== inode + this.#slots.file) return false;
    const kind = this.#mode(inode) & S_IFMT;
    if (kind !== S_IFREG && kind !== S_IFDIR) return false;
    const { symbol, offset } = facts.get(codeOwners).ownerOf(table) ?? {};
    if (symbol === undefined || offset !== 0) return false;
    const name = kernel.reader("file_system_type", "name")(this.#type(superBlock));
    const fileSystem = kernel.space.string(name, MAX_NAME);
    return fileSystem !== undefined && isOtherFileSystems(fileSystem, symbol);
  }

  #reportExchanged(struct: string, path: string, table: GuestVirtual, slot: GuestVirtual): void {
    const { kernel, facts } = this.#context;
    this.#context.report({
      severity: "high",
      confidence: "medium",
      title: `The ${struct.replaceAll("_", " ")} of ${path} are those of another file system: ${facts.get(codeOwners).describe(table)}.`,
      subject: { path, struct },
      evidence: { table: kernel.format(table), slot: kernel.format(slot) },
    });
  }

  /** single_open, and debugfs until 6.13, make a table for one open file. */
  #made(
    struct: ObjectStruct,
    table: GuestVirtual,
    inode: GuestVirtual,
    superBlock: GuestVirtual,
  ): Allowed | undefined {
    const { kernel, facts } = this.#context;
    const owners = facts.get(codeOwners);
    if (owners.ownerOf(table) !== undefined) return undefined;
    const member = (name: string): GuestVirtual =>
      kernel.space.pointer(table + kernel.offset(struct, name));
    if (struct === "seq_operations") {
      if (member("start") !== this.#singleStart) return undefined;
      // Whose the lines are is who opens the file: a module from elsewhere only its own.
      const home = owners.moduleAt(member("show"))?.module ?? 0;
      const isForeign = facts.get(foreignModules).has(home);
      return !isForeign || this.#opens(home, inode, superBlock) ? "listed" : "distribution";
    }
    if (struct !== "file_operations" || this.#magic(superBlock) !== DEBUGFS) return undefined;
    return member("release") === kernel.symbol("full_proxy_release") ? "kernel" : undefined;
  }

  /** Whether a module has the file: the entry of /proc (fs/proc/internal.h), or by what it is. */
  #opens(module: GuestVirtual, inode: GuestVirtual, superBlock: GuestVirtual): boolean {
    if (this.#mayBeOf(module, inode, superBlock)) return true;
    const { kernel, facts } = this.#context;
    if (this.#magic(superBlock) !== PROCFS) return false;
    const entry = kernel.space.pointer(
      inode - kernel.offset("proc_inode", "vfs_inode") + kernel.offset("proc_inode", "pde"),
    );
    return ["proc_ops", "single_show"].some((member) => {
      const at = kernel.readerOf("proc_dir_entry", member)?.(entry) ?? 0;
      return facts.get(codeOwners).moduleAt(at)?.module === module;
    });
  }

  #mayBeOf(module: GuestVirtual, inode: GuestVirtual, superBlock: GuestVirtual): boolean {
    if ((this.#mode(inode) & S_IFMT) === S_IFCHR) return !isOwnDevice(this.#device(inode));
    if (BRING_THEIR_OWN.has(this.#magic(superBlock))) return true;
    const owners = this.#context.facts.get(codeOwners);
    return owners.moduleAt(this.#type(superBlock))?.module === module;
  }

  /** Paths cost something: they are looked for where there will be a finding. */
  #path(inode: GuestVirtual, table: GuestVirtual, isUsual: boolean): string {
    const { kernel, facts } = this.#context;
    if (!(inode < 0)) return "memory without a file";
    const owner = facts.get(codeOwners).ownerOf(table);
    const isPlace = owner !== undefined && owner.part !== "text" && owner.kind !== "freed";
    if (isPlace && isUsual) return `inode ${kernel.format(inode)}`;
    const budget = kernel.budget();
    this.#paths ??= new InodePaths(kernel, budget, () => {});
    // The root of a file system has an empty name where it is not mounted.
    const path = this.#paths.all(inode, budget).find((each) => each !== "");
    return path ?? `inode ${kernel.format(inode)}`;
  }
}
