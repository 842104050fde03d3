import { TASK_COMM_LEN } from "../linux/comm.ts";
import type { Check } from "./check.ts";
import type { Severity } from "./finding.ts";
import { borrowedName, isDaemonName, seemingName } from "./known-daemons.ts";
import { isVolatilePath, withoutDeleted } from "./paths.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

/** Folders where anybody may write and where no program is installed. */
const TEMPORARY = /^\/(tmp|var\/tmp|dev\/shm|run\/lock|var\/lock)\//;
const INTERPRETERS =
  /^(perl|python|ruby|php|lua|node|bash|dash|sh|zsh|ksh|tclsh|expect|java)[\d.]*$/;
/** What unpacks itself there: AppImage mounts, `go run`. */
const OWN_FOLDERS = /^\/tmp\/(\.mount_|go-build)/;

/** No process goes by another's name, and none runs from where programs do not belong. */
export const disguisedProcess: Check = {
  id: "disguised-process",
  proves:
    "No process is called after a system daemon that it is not, no name looks like another than it is, and no program runs from a folder for temporary files.",
  reads: "comm, argument vector and program of every process",
  attack: ["T1036.005", "T1036.004"],
  limits:
    "Names of common system daemons are known, not all; a daemon that was replaced in its own place is left to the checks of files.",
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    const kernelNames = new Set(rows.filter(({ kthread }) => kthread).map(({ comm }) => comm));
    let looked = 0;
    for (const process of rows) {
      // A process that has exited has no program; one in the middle of execve may have none yet.
      if (process.kthread || process.exe === undefined) continue;
      looked++;
      const signs = signsOf(process, process.exe, kernelNames);
      const worst = signs.reduce((most, { rank }) => Math.max(most, rank), -1);
      const severity = SEVERITIES[worst];
      if (severity === undefined) continue;
      const { pid, comm, exe, uid, argv, task } = process;
      context.report({
        severity,
        confidence: severity === "low" ? "low" : "medium",
        title: `Process ${pid} (${comm}) is not what it seems: ${signs.map(({ says }) => says).join(", ")}.`,
        subject: { pid, task: context.kernel.format(task), exe },
        evidence: { uid, argv: argv ?? null, signs: signs.map(({ says }) => says) },
      });
    }
    context.cover(looked);
  },
};

/** By rank. */
const SEVERITIES: readonly Severity[] = ["low", "medium", "high"];

type Sign = { readonly says: string; readonly rank: 0 | 1 | 2 };

function signsOf(process: CalledProcess, exe: string, kernelNames: ReadonlySet<string>): Sign[] {
  const { comm, argv } = process;
  const path = withoutDeleted(exe);
  const program = path.slice(path.lastIndexOf("/") + 1);
  const title = argv?.[0] ?? "";
  const borrowed = borrowedName(title, program) ?? borrowedComm(process, program);
  const seeming = seemingName(comm);
  const isTemporary = TEMPORARY.test(path) && !OWN_FOLDERS.test(path);
  return [
    ...(borrowed === undefined
      ? []
      : [sign(`it calls itself ${borrowed}, but runs ${exe}`, isOddPlace(path, program) ? 2 : 1)]),
    // The sixteenth byte and what follows was cut off, perhaps behind a blank.
    ...(seeming !== undefined &&
    (isDaemonName(seeming) || kernelNames.has(seeming) || isPadded(comm))
      ? [sign(`its name ${JSON.stringify(comm)} looks like ${JSON.stringify(seeming)}`, 1)]
      : []),
    ...(isTemporary && isDaemonName(program)
      ? [sign(`a program called ${program} runs from ${exe}`, 2)]
      : []),
    ...(isTemporary
      ? [
          sign(
            `its program lies in a folder for temporary files`,
            path.startsWith("/dev/shm/") ? 1 : 0,
          ),
        ]
      : []),
  ];
}

/** Of scripts `comm` is the script's name, so only what is no interpreter has to fit it. */
function borrowedComm({ comm, argv }: CalledProcess, program: string): string | undefined {
  if (comm === program.slice(0, TASK_COMM_LEN - 1)) return undefined;
  const isScript = INTERPRETERS.test(program) && (argv?.length ?? 0) > 1;
  return isScript ? undefined : borrowedName(comm, program);
}

function isOddPlace(path: string, program: string): boolean {
  return isVolatilePath(path) || INTERPRETERS.test(program);
}

function isPadded(comm: string): boolean {
  return comm.length < TASK_COMM_LEN - 1 && comm.trim() !== comm;
}

function sign(says: string, rank: Sign["rank"]): Sign {
  return { says, rank };
}
