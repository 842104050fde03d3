import type { Kernel } from "../../../src/linux/kernel.ts";
import { kernel } from "../harness/debian-kernel.ts";
import { parseKernel } from "../harness/guest-matrix.ts";
import { bootTiny } from "../harness/guest.ts";
import type { Guest } from "../harness/guest.ts";
import { populate, populationModules } from "../harness/populate.ts";
import type { Population } from "../harness/populate.ts";
import type { Hardware } from "../harness/qemu-arguments.ts";

export type TaskViewGuest = Pick<Hardware, "ram" | "cpus" | "memory" | "machine"> & {
  readonly name: string;
  /** As `parseKernel` takes it. */
  readonly kernel: string;
  readonly levels: 4 | 5;
};

/** Older and newer layouts, both kinds of paging, RAM that is mapped and RAM that is copied. */
export const taskViewGuests: readonly TaskViewGuest[] = [
  { name: "6.1, 4-level paging", kernel: "bookworm/cloud", levels: 4, ram: "anonymous", cpus: 2 },
  { name: "6.12, 5-level paging", kernel: "trixie/cloud", levels: 5, ram: "memfd", cpus: 1 },
];

/** One statement about the views, with what it needs to be tried. */
export type TaskViewTest = (guest: Guest, kernel: Kernel, population: Population) => Promise<void>;

/** A guest with what was started in it. */
export type TaskViewScene = AsyncDisposable & {
  readonly guest: Guest;
  readonly population: Population;
};

/** A guest with processes in every state that a view has to show. */
export async function bootTaskViewGuest(entry: TaskViewGuest): Promise<TaskViewScene> {
  const { name: _, kernel: wish, levels, ...hardware } = entry;
  const guest = await bootTiny({
    ...hardware,
    kernel: await kernel(parseKernel(wish)),
    cpu: levels === 5 ? "max" : "max,la57=off",
    modules: populationModules,
    append: "vsyscall=xonly",
  });
  const population = await populate(guest, ["odd-processes", "odd-tasks", "odd-files", "system"]);
  return { guest, population, [Symbol.asyncDispose]: () => guest[Symbol.asyncDispose]() };
}
