import { ttyOperations as tablesOf } from "../linux/tty.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";
import { OperationsChecker, strangerTo } from "./operations.ts";
import { processes } from "./user-facts.ts";

/** What is typed at a terminal passes through the functions of its driver and line discipline only. */
export const ttyOperations: Check = {
  id: "tty-operations",
  proves:
    "Terminal drivers and line disciplines lead to tables of the kernel or of the module that brought them, whose functions are those of whoever has the table; each open terminal has its driver's table and a line discipline that is registered.",
  reads: "tty_drivers, their terminals, those that control processes, tty_ldiscs",
  attack: ["T1014", "T1056.001"],
  shares: ["kernel rodata", "kernel data"],
  limits: "Pseudo terminals that control no process are not looked at; their driver is.",
  run(context) {
    const { kernel } = context;
    const checker = new OperationsChecker(context);
    tellOwnerProblems(context);
    const problem = (reason: string): void => context.unseen(reason);
    const { rows, problems } = context.facts.get(processes);
    for (const each of problems) context.unseen(each);
    const tasks = rows.map(({ task }) => task);
    for (const { what, module, ...each } of tablesOf(kernel, tasks, kernel.budget(), problem)) {
      const stranger = module !== undefined && strangerTo(context, each.table, module);
      const subject = { tty: what };
      checker.check({ what: `The operations of ${what}`, ...each, subject, stranger });
    }
    context.cover(checker.tables);
  },
};
