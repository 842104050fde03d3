import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import { FdTables } from "./fd-table.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import { selectProcesses } from "./process-selection.ts";
import { Tasks } from "./task.ts";
import { VmaLists } from "./vma-list.ts";

type Problem = (reason: string) => void;

/** Finds inodes in memory (struct inode and super_block, include/linux/fs.h). */
export class Inodes {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Every mounted filesystem, the kernel's internal ones included, in the order of mounting. */
  superBlocks(budget: Budget, problem?: Problem): GuestVirtual[] {
    const kernel = this.#kernel;
    const head = kernel.requireSymbol("super_blocks");
    return listSnapshot(kernel, head, kernel.offset("super_block", "s_list"), budget, problem);
  }

  /** All inodes of a filesystem that are in memory. */
  ofSuperBlock(block: GuestVirtual, budget: Budget, problem?: Problem): GuestVirtual[] {
    const kernel = this.#kernel;
    const head = block + kernel.offset("super_block", "s_inodes");
    return listSnapshot(kernel, head, kernel.offset("inode", "i_sb_list"), budget, problem);
  }

  /**
   * Inodes whose pages the files that a process has open or mapped show: on a stacked filesystem
   * those of the layer below. Throws KVMSEC_NO_SUCH_PROCESS.
   */
  ofProcesses(pids: readonly number[], budget: Budget, problem?: Problem): Set<GuestVirtual> {
    const kernel = this.#kernel;
    const tasks = new Tasks(kernel);
    const tables = new FdTables(kernel);
    const areas = new VmaLists(kernel);
    const mapping = kernel.reader("file", "f_mapping");
    const host = kernel.reader("address_space", "host");
    const areaFile = kernel.reader("vm_area_struct", "vm_file");
    const inodes = new Set<GuestVirtual>();
    for (const task of selectProcesses(tasks, { pid: pids }, budget, problem)) {
      const files = tasks.files(task);
      const mm = tasks.mm(task);
      const opened = files < 0 ? tables.descriptors(files, budget, problem) : [];
      for (const { file } of opened) inodes.add(host(mapping(file)));
      const mapped = mm < 0 ? areas.areas(mm, budget) : [];
      for (const area of mapped) inodes.add(host(mapping(areaFile(area))));
    }
    return inodes;
  }

  /** The dentries that lead to an inode: one for each name that is in memory. */
  *aliases(inode: GuestVirtual, budget: Budget): Generator<GuestVirtual> {
    const kernel = this.#kernel;
    const { types } = kernel;
    // A union of its own until 7.1.
    const link = (types.member("dentry", "d_u.d_alias") ?? types.require("dentry", "d_alias"))
      .offset;
    const { space } = kernel;
    const watch = new CircleWatch();
    let node = space.pointer(inode + kernel.offset("inode", "i_dentry"));
    while (node < 0 && budget.step() && !watch.isBack(node)) {
      yield node - link;
      node = space.pointer(node);
    }
  }
}
