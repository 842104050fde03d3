import { CodeOwners } from "../linux/code-owner.ts";
import { Idt } from "../linux/idt.ts";
import type { Gate } from "../linux/idt.ts";
import type { View } from "./view.ts";

/** The interrupt descriptor table: which function every interrupt and exception enters. */
export const idt: View<Gate> = {
  schema: "kvmsec.idt/1",
  list: "gates",
  *read(kernel, _options, problem) {
    const owners = new CodeOwners(kernel);
    yield* new Idt(kernel, owners).gates(problem);
    for (const reason of owners.problems) problem(reason);
  },
  json: (row, kernel) => ({
    ...row,
    target: undefined,
    address: kernel.format(row.address),
    symbol: row.symbol ?? null,
    owner: row.owner ?? null,
  }),
};
