import type { Check } from "./check.ts";
import { isVolatilePath, withoutDeleted } from "./paths.ts";
import { processes } from "./user-facts.ts";

/** What container runtimes run from memory to guard their own file (runc, crun; CVE-2019-5736). */
const RUNTIME_CLONES = /^\/memfd:(runc_cloned:|crun_cloned:|lxc_cloned:)/;

/** A file that never had a name (O_TMPFILE): its inode's number stands for it (fs/dcache.c, d_mark_tmpfile). */
const NAMELESS = /\/#\d+ \(deleted\)$/;

/** No process runs a program that lies in memory only, or was deleted where anybody may write. */
export const vanishedProgram: Check = {
  id: "vanished-program",
  proves:
    "No process runs from a memory file, from a file that never had a name, or from a file that was deleted in a folder where anybody may write.",
  reads: "mm_struct.exe_file of every process",
  attack: ["T1620", "T1070.004"],
  limits:
    "A program that was deleted or replaced in a system folder is what every upgrade leaves behind, and stays silent.",
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    let looked = 0;
    for (const { pid, comm, exe, uid, kthread, argv } of rows) {
      if (kthread || exe === undefined) continue;
      looked++;
      const inMemory = exe.startsWith("/memfd:");
      const deleted =
        exe.endsWith(" (deleted)") && (isVolatilePath(withoutDeleted(exe)) || NAMELESS.test(exe));
      if ((!inMemory && !deleted) || RUNTIME_CLONES.test(exe)) continue;
      context.report({
        severity: "high",
        confidence: "medium",
        title: inMemory
          ? `Process ${pid} (${comm}) runs a program that is no file (${exe}).`
          : `Process ${pid} (${comm}) runs a program that was deleted (${exe}).`,
        subject: { pid, exe },
        evidence: { uid, comm, argv: argv ?? null },
      });
    }
    context.cover(looked);
  },
};
