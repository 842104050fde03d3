import type { GuestVirtual } from "../base/address.ts";
import { PAGE_SIZE } from "../base/address.ts";
import { DentryTree } from "../linux/dentry-tree.ts";
import { ProgramFiles } from "../linux/program-file.ts";
import { UserMemory } from "../linux/user-memory.ts";
import type { Check, CheckContext } from "./check.ts";
import { explainingRuntime } from "./code-runtimes.ts";
import { executableMemory, mappedFiles } from "./memory-facts.ts";
import type { ProcessMemory } from "./memory-facts.ts";
import { plainPath, withoutDeleted } from "./paths.ts";

/** Variables by which the dynamic loader takes libraries that a program does not ask for (ld.so(8)). */
const VARIABLES = /^(LD_PRELOAD|LD_AUDIT|LD_LIBRARY_PATH)=(.+)$/s;
/** Where anybody may put a library, and where nobody installs one. */
const TEMPORARY = /^\/(tmp|var\/tmp|dev|run\/lock|var\/lock|proc)(\/|$)/;
/** Folders of the system's have no hidden ones for libraries; people's and services' homes do. */
const HIDDEN = /^\/(usr|lib\w*|s?bin|etc|boot)\/(.*\/)?\.[^/.]/;
const PRELOAD_FILE = ["etc", "ld.so.preload"];
const MOST_ROOTS = 256;
/** A variable may be as long as the whole environment. */
const LONGEST_SHOWN = 512;
/** What unpacks its libraries there by design: AppImage, PyInstaller. */
const UNPACKED = /^\/tmp\/(\.mount_|_MEI)/;

/** No library was slipped into programs that do not ask for it. */
export const preloadedLibraries: Check = {
  id: "preloaded-libraries",
  proves:
    "No process was told to load libraries from a folder for temporary files or from a hidden one, none has one from there mapped, and /etc/ld.so.preload names none.",
  reads:
    "environment and executable mappings of every process; /etc/ld.so.preload as it is in memory",
  attack: ["T1574.006"],
  limits:
    "A library that lies where libraries belong is not judged here, and variables only as a program was started with them. What of /etc/ld.so.preload is not in memory is not seen.",
  run(context) {
    const { rows, problems } = context.facts.get(executableMemory);
    for (const problem of problems) context.unseen(problem);
    const memory = new UserMemory(context.kernel);
    for (const row of rows) {
      const environment = memory.environment(row.mm);
      context.cover(environment === undefined ? 0 : 1, 1);
      checkEnvironment(context, row, environment ?? []);
      checkMappings(context, row);
    }
    checkPreloadFile(context);
  },
};

function checkEnvironment(
  context: CheckContext,
  { process }: ProcessMemory,
  environment: readonly string[],
): void {
  for (const entry of environment) {
    const [, variable, value] = VARIABLES.exec(entry) ?? [];
    const odd = value?.split(/[\s:;]+/).find(isOddPlace);
    if (variable === undefined || odd === undefined || UNPACKED.test(odd)) continue;
    const { pid, comm, exe, uid, task, credentials } = process;
    const isRoot = credentials.euid === 0;
    // Whoever builds programs tries them like this.
    if (variable === "LD_LIBRARY_PATH" && !isRoot) continue;
    context.report({
      severity: isRoot ? "high" : "medium",
      confidence: "medium",
      title: `Process ${pid} (${comm}) was started with ${variable}, which leads to ${odd.slice(0, LONGEST_SHOWN)}.`,
      subject: { pid, task: context.kernel.format(task), variable },
      evidence: { value: value?.slice(0, LONGEST_SHOWN) ?? null, exe: exe ?? null, uid },
    });
  }
}

/** Java and others unpack libraries of their packages there. */
function checkMappings(context: CheckContext, { process, areas }: ProcessMemory): void {
  const files = context.facts.get(mappedFiles);
  const paths = areas.flatMap(({ file }) => (file === 0 ? [] : (files.of(file)?.path ?? [])));
  const odd = paths.find(
    (path) =>
      isOddPlace(withoutDeleted(path)) &&
      !UNPACKED.test(path) &&
      path !== process.exe &&
      !path.startsWith("/dev/zero"),
  );
  if (odd === undefined || explainingRuntime(paths, PAGE_SIZE) !== undefined) return;
  const { pid, comm, exe, uid, task } = process;
  context.report({
    severity: odd.startsWith("/dev/shm/") || HIDDEN.test(odd) ? "medium" : "low",
    confidence: "low",
    title: `Process ${pid} (${comm}) has a library from ${odd} mapped.`,
    subject: { pid, task: context.kernel.format(task), library: odd },
    evidence: { exe: exe ?? null, uid },
  });
}

function isOddPlace(path: string): boolean {
  const plain = plainPath(path);
  return TEMPORARY.test(plain) || HIDDEN.test(plain);
}

/** The loader asks for this file at each start of a program, so that its name is always known. */
function checkPreloadFile(context: CheckContext): void {
  const { kernel } = context;
  const tree = new DentryTree(kernel);
  for (const root of rootsOf(context)) {
    const found = tree.find(root, PRELOAD_FILE, kernel.budget());
    context.cover(found.kind === "unknown" ? 0 : 1, 1);
    if (found.kind !== "file") continue;
    const mapping = kernel.reader("inode", "i_mapping")(found.inode);
    const size = kernel.reader("inode", "i_size")(found.inode);
    const page = new ProgramFiles(kernel).page(mapping, 0);
    const text = Buffer.from(page ?? [])
      .subarray(0, Math.min(size, PAGE_SIZE))
      .toString();
    const names = text.split("\n").flatMap((line) => line.replace(/#.*/, "").split(/[\s:]+/));
    const libraries = names.filter((name) => name !== "");
    if (page !== undefined && libraries.length === 0) continue;
    const odd = libraries.some(isOddPlace);
    context.report({
      severity: odd ? "high" : "medium",
      confidence: odd ? "high" : "medium",
      title:
        page === undefined
          ? "/etc/ld.so.preload exists, and what it names is not in memory."
          : `Every program is made to load ${libraries.join(", ")} (/etc/ld.so.preload).`,
      subject: { file: "/etc/ld.so.preload", libraries },
      evidence: { inode: kernel.format(found.inode), bytes: size },
    });
  }
}

/** Root directories of all processes: containers have their own. */
function rootsOf(context: CheckContext): ReadonlySet<GuestVirtual> {
  const { kernel } = context;
  const root = kernel.reader("fs_struct", "root.dentry");
  const fs = kernel.readerOf("task_struct", "real_fs", "fs") ?? kernel.reader("task_struct", "fs");
  const roots = new Set<GuestVirtual>();
  for (const { process } of context.facts.get(executableMemory).rows) {
    const at = root(fs(process.task));
    if (at < 0) roots.add(at);
  }
  if (roots.size <= MOST_ROOTS) return roots;
  context.unseen(`of ${roots.size} root directories ${MOST_ROOTS} were looked at`);
  return new Set([...roots].slice(0, MOST_ROOTS));
}
