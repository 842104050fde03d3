import { ttyOperations as tablesOf } from "../linux/tty.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";
import { OperationsChecker } from "./operations.ts";

/** What is typed at a terminal passes through the functions of its driver and line discipline only. */
export const ttyOperations: Check = {
  id: "tty-operations",
  proves:
    "Terminal drivers, open terminals and line disciplines lead to tables of the kernel or a module, whose functions are those of whoever has the table.",
  reads: "tty_drivers, their terminals, tty_ldiscs",
  attack: ["T1014", "T1056.001"],
  shares: ["kernel rodata", "kernel data"],
  limits: "Pseudo terminals' own pointers are not followed; their driver and line discipline are.",
  run(context) {
    const { kernel } = context;
    const checker = new OperationsChecker(context);
    tellOwnerProblems(context);
    const problem = (reason: string): void => context.unseen(reason);
    for (const { what, struct, slot, table } of tablesOf(kernel, kernel.budget(), problem)) {
      const subject = { tty: what };
      checker.check({ what: `The operations of ${what}`, struct, table, slot, subject });
    }
    context.cover(checker.tables);
  },
};
