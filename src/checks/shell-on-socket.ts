import type { Check, CheckContext } from "./check.ts";
import { processes, sockets } from "./user-facts.ts";

const SHELLS =
  /^(sh|bash|dash|zsh|ksh|ash|fish|csh|tcsh|busybox|python[\d.]*|perl|ruby|php[\d.]*)$/;
/** Standard input and output. */
const BOTH_ENDS: readonly number[] = [0, 1];

/** No shell has its input and output on a network connection. */
export const shellOnSocket: Check = {
  id: "shell-on-socket",
  proves: "No shell or interpreter has both its standard input and output on a TCP connection.",
  reads: "open files and sockets of every process",
  attack: ["T1059"],
  limits: "A shell behind a pipe or a pseudo-terminal, as ssh has it, is not told from a login.",
  run(context) {
    const found = context.facts.get(sockets);
    const { rows, problems } = context.facts.get(processes);
    for (const problem of [...problems, ...found.problems]) context.unseen(problem);
    const wired = wiredProcesses(context);
    for (const { pid, comm, exe, uid, argv } of rows) {
      const remote = wired.get(pid);
      const program = exe?.split("/").at(-1) ?? comm;
      if (remote === undefined || !SHELLS.test(program)) continue;
      context.report({
        severity: "high",
        confidence: "medium",
        title: `Process ${pid} (${comm}) is a shell on a network connection to ${remote}.`,
        subject: { pid, program },
        evidence: { remote, uid, exe: exe ?? null, argv: argv ?? null },
      });
    }
    context.cover(rows.length);
  },
};

/** Processes whose descriptors 0 and 1 are one connected TCP socket, with its far end. */
function wiredProcesses({ facts }: CheckContext): ReadonlyMap<number, string> {
  const wired = new Map<number, string>();
  for (const { protocol, state, remote, holders } of facts.get(sockets).rows) {
    if (protocol !== "tcp" || state === "LISTEN") continue;
    const direct = holders.filter(({ registered }) => registered === undefined);
    for (const { pid } of direct) {
      const fds = new Set(direct.filter((holder) => holder.pid === pid).map(({ fd }) => fd));
      if (BOTH_ENDS.every((fd) => fds.has(fd))) wired.set(pid, remote ?? "?");
    }
  }
  return wired;
}
