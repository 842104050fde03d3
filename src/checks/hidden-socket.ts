import { isClosingFiles } from "../linux/closing-files.ts";
import type { Check } from "./check.ts";
import { sockets } from "./user-facts.ts";

/** Sockets are found both by who has them open and in the kernel's tables. */
export const hiddenSocket: Check = {
  id: "hidden-socket",
  proves:
    "Every socket that should be in the kernel's tables and in some process's open files is in both.",
  reads: "files of all processes; TCP, UDP, raw, unix, packet and netlink tables of all namespaces",
  attack: ["T1014"],
  limits: "Sockets that only the kernel itself holds have no open file, and are not counted.",
  isUnsettled: isClosingFiles,
  run(context) {
    const { rows, problems } = context.facts.get(sockets);
    for (const problem of problems) context.unseen(problem);
    for (const socket of rows) {
      if (socket.missing.length === 0) continue;
      const { protocol, family, state, seenBy, missing, sock, holders } = socket;
      context.report({
        severity: "high",
        confidence: "medium",
        title: `A ${protocol} socket (${state}) is hidden from the ${missing.join(" and ")} view.`,
        subject: { sock: context.kernel.format(sock) },
        evidence: { family, protocol, state, seenBy, missing, pids: holders.map(({ pid }) => pid) },
      });
    }
    context.cover(rows.length);
  },
};
