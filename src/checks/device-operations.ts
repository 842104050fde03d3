import { characterDeviceTables, networkDeviceTables } from "../linux/device-tables.ts";
import type { DeviceTable } from "../linux/device-tables.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { tellOwnerProblems } from "./function-target.ts";
import { OperationsChecker, strangerTo } from "./operations.ts";

/** Each device leads to the functions of the kernel, or of the module that has it. */
export const deviceOperations: Check = {
  id: "device-operations",
  proves:
    "Network devices and numbers of character devices lead to tables of functions of the kernel, of a distribution's module, or of the module that brought the device.",
  reads:
    "netdev_ops, ethtool_ops and header_ops of each net_device, with its driver; cdev_map with each cdev's operations",
  attack: ["T1014", "T1205"],
  shares: ["kernel rodata", "kernel data"],
  limits:
    "A network device without a driver and without a kind may have tables of any listed module. Block devices are not looked at.",
  run(context) {
    const { kernel } = context;
    tellOwnerProblems(context);
    const checker = new OperationsChecker(context);
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    let looked = 0;
    for (const each of networkDeviceTables(kernel, budget, problem)) {
      looked++;
      checkTable(context, checker, each);
    }
    for (const each of characterDeviceTables(kernel, budget, problem)) {
      looked++;
      checkTable(context, checker, each);
    }
    context.cover(looked);
  },
};

function checkTable(
  context: CheckContext,
  checker: OperationsChecker,
  { device, member, struct, slot, table, maker }: DeviceTable,
): void {
  const owners = context.facts.get(codeOwners);
  const stranger =
    maker !== undefined && strangerTo(context, table, owners.moduleAt(maker)?.module ?? 0);
  checker.check({
    what: `The ${member.replaceAll("_", " ")} of ${device}`,
    struct,
    table,
    slot,
    subject: { device, member },
    stranger,
    // What a switch's port adds to the statistics of its host (net/dsa) is a table of its own.
    ...(struct === "ethtool_ops" && owners.ownerOf(table) === undefined
      ? { made: "distribution" as const }
      : {}),
  });
}
