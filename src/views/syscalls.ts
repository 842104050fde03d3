import { CodeOwners } from "../linux/code-owner.ts";
import { Syscalls } from "../linux/syscall.ts";
import type { Syscall } from "../linux/syscall.ts";
import type { View } from "./view.ts";

/** Where every system call leads, by every way into the kernel. */
export const syscalls: View<Syscall> = {
  schema: "kvmsec.syscalls/1",
  list: "syscalls",
  *read(kernel, _options, problem) {
    const owners = new CodeOwners(kernel);
    yield* new Syscalls(kernel, owners).all(problem);
    for (const reason of owners.problems) problem(reason);
  },
  json: (row, kernel) => ({
    ...row,
    target: undefined,
    name: row.name ?? null,
    address: kernel.format(row.address),
    symbol: row.symbol ?? null,
    owner: row.owner ?? null,
  }),
};
