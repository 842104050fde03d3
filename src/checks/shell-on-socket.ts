import type { Check } from "./check.ts";
import { RelayedShells, wiredProcesses } from "./shell-ends.ts";
import { processes, sockets } from "./user-facts.ts";

const SHELLS =
  /^(sh|bash|dash|zsh|ksh|ash|fish|csh|tcsh|busybox|python[\d.]*|perl|ruby|php[\d.]*)$/;
/** No shell has its input and output on a network connection. */
export const shellOnSocket: Check = {
  id: "shell-on-socket",
  proves:
    "No shell or interpreter has both its standard input and output on network connections, nor is it led to one by a program that only hands on.",
  reads: "open files and sockets of every process",
  attack: ["T1059"],
  limits:
    "A shell behind a pipe or a pseudo-terminal is told by whoever hands on for it: netcat and its kin, and programs in folders for temporary files. Others, as ssh has it, are not told from a login. Who reads with a library of its own through io_uring has no descriptors that could be seen.",
  run(context) {
    const found = context.facts.get(sockets);
    const { rows, problems } = context.facts.get(processes);
    for (const problem of [...problems, ...found.problems]) context.unseen(problem);
    const wired = wiredProcesses(context);
    const relayed = new RelayedShells(context);
    for (const row of rows) {
      const { pid, comm, exe, uid, argv } = row;
      const program = exe?.split("/").at(-1) ?? comm;
      if (!SHELLS.test(program)) continue;
      const remote = wired.get(pid);
      const relay = remote === undefined ? relayed.of(row) : undefined;
      const far = remote ?? relay?.remote;
      if (far === undefined) continue;
      const by = relay && `${relay.process.pid} (${relay.process.comm})`;
      context.report({
        severity: "high",
        confidence: "medium",
        title: `Process ${pid} (${comm}) is a shell on a network connection to ${far}${by === undefined ? "" : `, led by process ${by}`}.`,
        subject: { pid, program },
        evidence: { remote: far, relay: by ?? null, uid, exe: exe ?? null, argv: argv ?? null },
      });
    }
    context.cover(rows.length);
  },
};
