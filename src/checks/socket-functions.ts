import { SocketFunctions } from "../linux/socket-functions.ts";
import type { Callback } from "../linux/callback.ts";
import { socketWaiters } from "../linux/socket-waiters.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import { checkCallbacks } from "./callbacks.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, foreignModules, leadsWell, tellOwnerProblems } from "./function-target.ts";
import { OperationsChecker } from "./operations.ts";
import { sockets } from "./user-facts.ts";

/** Families of the kernel's own: no foreign module has sockets of these. */
const KERNELS: ReadonlySet<string> = new Set(["inet", "inet6", "unix", "packet", "netlink"]);

/** A table that BPF programs were put into. */
const MADE = { made: "distribution" } as const;

/** Drivers of virtual machines and storage from elsewhere may wait for a socket too. */
const WAITER = { allowed: "distribution", module: "medium" } as const;

/** Each socket's packets and calls go through the kernel, or modules of the distribution. */
export const socketFunctions: Check = {
  id: "socket-functions",
  proves:
    "The tables of functions of each socket, and what is called when its data arrive, its state changes or it is destroyed, and whoever waits for it, are the kernel's or a distribution module's.",
  reads:
    "struct sock and struct socket of every socket; inet_connection_sock, udp_sock and netlink_sock; socket_wq",
  attack: ["T1014", "T1205"],
  shares: ["kernel data", "kernel rodata"],
  limits:
    "Who handles packets by protocol is for registered-callbacks. A foreign module's congestion control is not told.",
  run(context) {
    tellOwnerProblems(context);
    const { rows, problems } = context.facts.get(sockets);
    for (const problem of problems) context.unseen(problem);
    const functions = new SocketFunctions(context.kernel);
    const checker = new OperationsChecker(context);
    const budget = context.kernel.budget();
    const waitersOf = socketWaiters(context.kernel, budget, (reason) => context.unseen(reason));
    let looked = 0;
    const waiters: Callback[] = [];
    for (const row of rows) {
      if (row.kind !== "full") continue;
      looked++;
      checkSocket(context, functions, checker, row);
      if (row.socket < 0) waiters.push(...waitersOf(row.socket));
    }
    checkCallbacks(context, waiters, WAITER);
    context.cover(looked);
  },
};

function checkSocket(
  context: CheckContext,
  functions: SocketFunctions,
  checker: OperationsChecker,
  { sock, socket, protocol, family, local, remote, holders }: FoundSocket,
): void {
  const { facts, kernel } = context;
  const owners = facts.get(codeOwners);
  const pids = [...new Set(holders.map(({ pid }) => pid))].toSorted((a, b) => a - b);
  for (const { name, slot, value, table, brought } of functions.of(sock, socket)) {
    const whose = `a socket (${family} ${protocol} ${local} ${remote}) of ${pids.join(", ") || "nobody"}`;
    const subject = { socket: kernel.format(sock), member: name };
    if (table !== undefined) {
      const what = `The ${name} of ${whose}`;
      const home = owners.moduleAt(value)?.module ?? 0;
      const stranger = !brought && KERNELS.has(family) && facts.get(foreignModules).has(home);
      const made = brought && owners.ownerOf(value) === undefined ? MADE : {};
      checker.check({ what, struct: table, table: value, slot, subject, stranger, ...made });
      continue;
    }
    if (leadsWell(context, value, { allowed: "distribution" })) continue;
    checkFunction(context, {
      what: `Function ${name} of ${whose}`,
      subject,
      target: value,
      slot,
      allowed: "distribution",
      module: "high",
    });
  }
}
