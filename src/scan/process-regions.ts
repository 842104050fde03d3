import type { AddressSpace } from "../arch/x86/address-space.ts";
import { residentPages } from "../arch/x86/resident-pages.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "../linux/kernel.ts";
import { heldByGroup, selectProcesses } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { UserMemory } from "../linux/user-memory.ts";
import { Mappings } from "../linux/vma.ts";
import type { Mapping } from "../linux/vma.ts";
import type { Piece, Region } from "./region.ts";
import { piecesAt } from "./region.ts";

/** Every mapping of the processes, as far as it is in memory. Throws KVMSEC_NO_SUCH_PROCESS. */
export function* processRegions(
  kernel: Kernel,
  pids: readonly number[] | undefined,
  budget: Budget,
  tell: { problem(reason: string): void; unread(bytes: number): void },
): Generator<Region> {
  const tasks = new Tasks(kernel);
  const mappings = new Mappings(kernel);
  const memory = new UserMemory(kernel);
  const selection = pids === undefined ? {} : { pid: pids };
  for (const leader of selectProcesses(tasks, selection, budget, tell.problem)) {
    const mm = heldByGroup(tasks, leader, tasks.mm, budget);
    const space = mm === undefined ? undefined : memory.space(mm);
    if (mm === undefined || space === undefined) continue;
    const pid = tasks.pid(leader);
    const comm = tasks.comm(leader) ?? "?";
    const all = [
      ...mappings.all(mm, budget, (reason) => tell.problem(`process ${pid}: ${reason}`)),
    ];
    for (const mapping of all) {
      yield {
        scope: "processes",
        name: mapping.path ?? "[anonymous]",
        pid,
        comm,
        size: mapping.end - mapping.start,
        pieces: piecesOf(space, mapping, budget, tell.unread),
        place: (at) => ({
          address: kernel.format(at),
          permissions: mapping.permissions,
          ...(mapping.inode === 0 ? {} : { fileOffset: at - mapping.start + mapping.offset }),
        }),
      };
    }
  }
}

function* piecesOf(
  { memory, tables }: AddressSpace,
  { start, end }: Mapping,
  budget: Budget,
  unread: (bytes: number) => void,
): Generator<Piece> {
  for (const { at, length, physical } of residentPages(memory, tables, { start, end }, budget)) {
    yield* piecesAt(memory, at, physical, length, unread);
  }
}
