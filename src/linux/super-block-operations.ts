import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";

/** A table of functions of a mounted file system. */
export type SuperBlockTable = {
  /** As `mount` shows it: `ext4 vda1`. */
  readonly fileSystem: string;
  /** Where its `file_system_type` lies: in the image, or in the module that brought it. */
  readonly type: GuestVirtual;
  readonly struct: string;
  readonly slot: GuestVirtual;
  readonly table: GuestVirtual;
};

type Problem = (reason: string) => void;

const MAX_NAME = 64;

/** Tables of every super block, and of the folder at its root (`super_blocks`, fs/super.c). */
export function* superBlockTables(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<SuperBlockTable> {
  const head = kernel.requireSymbol("super_blocks");
  const link = kernel.offset("super_block", "s_list");
  const root = kernel.reader("super_block", "s_root");
  const inodeOf = kernel.reader("dentry", "d_inode");
  const typeOf = kernel.reader("super_block", "s_type");
  for (const block of listSnapshot(kernel, head, link, budget, problem)) {
    const type = typeOf(block);
    const fileSystem = nameOf(kernel, block, type);
    const table = (object: GuestVirtual, holder: string, member: string, struct: string) => {
      const slot = object + kernel.offset(holder, member);
      return { fileSystem, type, struct, slot, table: kernel.space.pointer(slot) };
    };
    yield table(block, "super_block", "s_op", "super_operations");
    const folder = root(block);
    // One that is being mounted, or has just been unmounted.
    if (!(folder < 0)) continue;
    yield table(folder, "dentry", "d_op", "dentry_operations");
    const inode = inodeOf(folder);
    if (!(inode < 0)) continue;
    yield table(inode, "inode", "i_op", "inode_operations");
    yield table(inode, "inode", "i_fop", "file_operations");
  }
}

function nameOf(kernel: Kernel, block: GuestVirtual, type: GuestVirtual): string {
  const name = kernel.space.string(kernel.reader("file_system_type", "name")(type), MAX_NAME);
  const id = kernel.space.string(kernel.reader("super_block", "s_id")(block), MAX_NAME);
  return `${name ?? "?"} ${id ?? ""}`.trim();
}
