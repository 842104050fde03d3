import type { Check } from "./check.ts";
import { isVolatilePath, withoutDeleted } from "./paths.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

/** CAP_SYS_PTRACE (include/uapi/linux/capability.h). */
const CAP_SYS_PTRACE = 2 ** 19;

/** Nobody holds another process by ptrace who has no business with it. */
export const ptraceAttachments: Check = {
  id: "ptrace-attachments",
  proves:
    "Whoever traces a process is a program from a folder where programs belong, and may trace it.",
  reads: "ptrace and parent of every process; program and credentials of tracer and tracee",
  attack: ["T1055.008"],
  limits:
    "A debugger of the system's, in whoever's hands, is ordinary use. An attachment that ended leaves nothing here; what it changed shows in changed-code and injected-code.",
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    const byPid = new Map(rows.map((row) => [row.pid, row]));
    for (const tracee of rows) {
      const tracer = tracee.tracer === undefined ? undefined : byPid.get(tracee.tracer);
      if (tracer === undefined) continue;
      const signs = signsOf(tracer, tracee);
      if (signs.length === 0) continue;
      context.report({
        severity: tracer.pid === tracee.ppid ? "low" : "high",
        confidence: "medium",
        title: `Process ${tracee.pid} (${tracee.comm}) is held by ptrace by ${tracer.pid} (${tracer.comm}): ${signs.join(", ")}.`,
        subject: { pid: tracee.pid, task: context.kernel.format(tracee.task), tracer: tracer.pid },
        evidence: {
          tracer: { exe: tracer.exe ?? null, uid: tracer.uid, argv: tracer.argv ?? null },
          tracee: { exe: tracee.exe ?? null, uid: tracee.uid, argv: tracee.argv ?? null },
        },
      });
    }
    context.cover(rows.length);
  },
};

function signsOf(tracer: CalledProcess, tracee: CalledProcess): string[] {
  const path = withoutDeleted(tracer.exe ?? "");
  const isOdd = isVolatilePath(path) && !path.startsWith("/home/");
  return [
    ...(isOdd ? [`the tracer's program is ${tracer.exe}`] : []),
    ...(path.startsWith("/memfd:") ? [`the tracer runs from memory (${path})`] : []),
    ...(mayNot(tracer, tracee)
      ? [`it belongs to uid ${tracee.uid}, the tracer to ${tracer.uid}`]
      : []),
  ];
}

/** __ptrace_may_access (kernel/ptrace.c): ids that differ ask for CAP_SYS_PTRACE. */
function mayNot(
  { credentials: own }: CalledProcess,
  { credentials: other }: CalledProcess,
): boolean {
  const isSame = [other.uid, other.euid, other.suid].every(
    (id) => id === own.uid || id === own.euid,
  );
  const capable = Math.floor(own.capabilities.permitted / CAP_SYS_PTRACE) % 2 === 1;
  return !isSame && !capable && own.userNamespace === other.userNamespace;
}
