import type { GuestVirtual } from "../base/address.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

/** No two processes share one set of credentials, and none carries the kernel's own. */
export const sharedCredentials: Check = {
  id: "shared-credentials",
  proves:
    "No user process carries the kernel's own credentials (init_cred) or those of another process.",
  reads: "task_struct.real_cred and cred of every process; init_cred",
  attack: ["T1014", "T1548"],
  shares: ["credentials"],
  limits:
    "Credentials that were forged in a struct of their own look like any root process's; threads of one process share theirs rightly.",
  run(context) {
    const { kernel, facts } = context;
    const { rows, problems } = facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    const tasks = new Tasks(kernel);
    const initCred = kernel.symbol("init_cred");
    const holders = new Map<GuestVirtual, CalledProcess[]>();
    for (const process of rows) {
      // A zombie's credentials mean nothing any more.
      if (process.kthread || process.state === "Z" || process.state === "X") continue;
      for (const cred of new Set([tasks.realCred(process.task), tasks.cred(process.task)])) {
        holders.set(cred, [...(holders.get(cred) ?? []), process]);
      }
    }
    for (const [cred, sharers] of holders) {
      const isInit = cred === initCred;
      if (!isInit && sharers.length < 2) continue;
      const names = sharers.map(({ pid, comm }) => `${pid} (${comm})`).join(", ");
      context.report({
        severity: "critical",
        confidence: "high",
        title: isInit
          ? `Process ${names} carries the kernel's own credentials.`
          : `Processes ${names} share one set of credentials.`,
        subject: { pids: sharers.map(({ pid }) => pid), kernelOwn: isInit },
        evidence: { cred: kernel.format(cred), uids: sharers.map(({ uid }) => uid) },
      });
    }
    context.cover(rows.length);
  },
};
