import type { Kernel } from "../linux/kernel.ts";
import type { Check } from "./check.ts";
import { SuspectFinder } from "./code-suspects.ts";
import type { Sign, Suspect } from "./code-suspects.ts";
import type { Report } from "./finding.ts";
import { executableMemory } from "./memory-facts.ts";
import type { ProcessMemory } from "./memory-facts.ts";

const MOST_AREAS = 8;

/** No process executes memory that belongs to no file, but what its own runtime compiled. */
export const injectedCode: Check = {
  id: "injected-code",
  proves:
    "Executable memory that belongs to no file on a disk is what a runtime (Java, V8, PCRE …) that is mapped in the process compiled: it holds no programs and makes no system calls of its own, and is neither heap nor stack.",
  reads:
    "executable mappings and page tables of every process, what lies in those without a file, and where their threads wait",
  attack: ["T1055", "T1620"],
  limits:
    "Of each area the first 4 MiB that are in RAM are looked through. Code that uses only a runtime's own library, in a process where that runtime is mapped, is not told from the runtime's.",
  run(context) {
    const { rows, problems } = context.facts.get(executableMemory);
    for (const problem of problems) context.unseen(problem);
    const finder = new SuspectFinder(context);
    for (const memory of rows) {
      const suspects = finder.suspects(memory);
      if (suspects.length > 0) context.report(report(context.kernel, memory, suspects));
    }
    context.cover(rows.length);
  },
};

const WORDS: Readonly<Record<Sign, string>> = {
  "program-image": "it holds a whole program or library",
  "waits-inside": "a thread waits in a system call that was made from it",
  "system-calls": "its code makes system calls of its own",
  "memory-library": "a library was loaded from a file in memory",
  heap: "it is the heap",
  stack: "it is the stack, which no mapped file asked for",
  unexplained: "no runtime that makes code is mapped",
};
const STRONG: ReadonlySet<Sign> = new Set([
  "program-image",
  "waits-inside",
  "system-calls",
  "memory-library",
]);

function report(kernel: Kernel, { process }: ProcessMemory, suspects: readonly Suspect[]): Report {
  const { pid, comm, exe, uid, argv, task } = process;
  const signs = [...new Set(suspects.flatMap((suspect) => suspect.signs))];
  const strong = signs.filter((sign) => STRONG.has(sign));
  const isWeak = strong.length === 0 && signs.every((sign) => sign === "unexplained");
  const says = (strong.length > 0 ? strong : signs).map((sign) => WORDS[sign]).join(", ");
  return {
    severity: strong.length > 0 ? "high" : isWeak ? "low" : "medium",
    confidence: strong.length > 1 ? "high" : isWeak ? "low" : "medium",
    title: `Process ${pid} (${comm}) can execute memory that belongs to no file on a disk: ${says}.`,
    subject: { pid, task: kernel.format(task) },
    evidence: {
      signs,
      exe: exe ?? null,
      uid,
      argv: argv ?? null,
      areas: suspects.slice(0, MOST_AREAS).map(({ area, path, signs: own, evidence }) => ({
        range: `${hex(area.start)}-${hex(area.end)}`,
        permissions: `${area.writable ? "rwx" : "r-x"}${area.shared ? "s" : "p"}`,
        file: path ?? null,
        signs: own,
        ...evidence,
      })),
    },
  };
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
