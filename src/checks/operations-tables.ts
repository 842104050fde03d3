import type { GuestVirtual } from "../base/address.ts";
import { NetNamespaces } from "../linux/net-namespace.ts";
import { ProcEntries } from "../linux/proc-entry.ts";
import type { ProcPointer } from "../linux/proc-entry.ts";
import { superBlockTables } from "../linux/super-block-operations.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";
import { checkNamedTables } from "./named-tables.ts";
import { OperationsChecker, strangerTo } from "./operations.ts";

/** Entries of /proc whose tables are known by name: those that tools list processes' traces from. */
const KNOWN: ReadonlyMap<string, string> = new Map([
  ["/proc/modules", "modules_proc_ops"],
  ["/proc/kallsyms", "kallsyms_proc_ops"],
  ["/proc/net/tcp", "tcp4_seq_ops"],
  ["/proc/net/tcp6", "tcp6_seq_ops"],
  ["/proc/net/udp", "udp_seq_ops"],
  ["/proc/net/udp6", "udp6_seq_ops"],
  ["/proc/net/raw", "raw_seq_ops"],
  ["/proc/net/unix", "unix_seq_ops"],
  ["/proc/net/packet", "packet_seq_ops"],
]);

/** What lists all processes (fs/proc/root.c): the kernel's other folders of /proc show none. */
const PROC_ROOT: Readonly<Record<string, string>> = {
  file_operations: "proc_root_operations",
  inode_operations: "proc_root_inode_operations",
};

/** What the kernel calls the functions and tables of an entry of /proc. */
const ENTRY_NAMES = [
  "NAME_proc_show",
  "NAME_proc_ops",
  "NAME_seq_ops",
  "NAME_seq_show",
  "NAME_op",
  "proc_NAME_operations",
  "proc_NAME_ops",
  "show_NAME",
];

/** Files, folders and file systems lead to the tables of functions of whoever owns them. */
export const operationsTables: Check = {
  id: "operations-tables",
  proves:
    "Entries of /proc, mounted file systems and the kernel's own named tables of functions lead to code of the kernel, or of the module that the table belongs to, and no foreign module's table stands in for another's.",
  reads:
    "proc_root and each namespace's /proc/net; super_blocks with root folders; tables named *_ops, *_operations, *_fops",
  attack: ["T1014", "T1564.001"],
  shares: ["kernel rodata", "kernel data"],
  limits: "Single open files and inodes below a file system's root are for object-operations.",
  run(context) {
    const { kernel } = context;
    const checker = new OperationsChecker(context);
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    tellOwnerProblems(context);
    let pointers = checkNamedTables(context);
    for (const pointer of procPointers(context)) {
      pointers++;
      checkProc(context, checker, pointer);
    }
    for (const { type, ...each } of superBlockTables(kernel, budget, problem)) {
      pointers++;
      const { fileSystem, struct, table } = each;
      const home = context.facts.get(codeOwners).moduleAt(type)?.module ?? 0;
      const stranger = strangerTo(context, table, home);
      const what = `The ${struct.replace("_", " ")} of ${fileSystem}`;
      const expected = fileSystem.startsWith("proc ") ? kernel.symbol(PROC_ROOT[struct] ?? "") : 0;
      const known = expected < 0 ? { expected } : {};
      checker.check({ what, ...each, subject: { fileSystem, struct }, stranger, ...known });
    }
    context.cover(pointers);
  },
};

function* procPointers(context: CheckContext): Generator<ProcPointer> {
  const { kernel } = context;
  const unseen = (reason: string): void => context.unseen(reason);
  const budget = kernel.budget();
  const entries = new ProcEntries(kernel);
  yield* entries.below(kernel.requireSymbol("proc_root"), "", budget, unseen);
  const root = kernel.reader("net", "proc_net");
  for (const net of new NetNamespaces(kernel).all(budget, unseen)) {
    const folder: GuestVirtual = root(net);
    if (folder < 0) yield* entries.below(folder, "/proc/net", budget, unseen);
  }
}

function checkProc(context: CheckContext, checker: OperationsChecker, pointer: ProcPointer): void {
  const { path, role, slot, value } = pointer;
  const subject = { path, role };
  const isKernels = isKernelEntry(context, path);
  if (role === "show") {
    checkFunction(context, {
      what: `The show function of ${path}`,
      subject,
      target: value,
      slot,
      allowed: isKernels ? "distribution" : "listed",
    });
    return;
  }
  // A file has both: what it is known by is the one that its name ends with.
  const ending = role === "seq_operations" ? "seq_ops" : role;
  const known = KNOWN.get(path);
  const expected =
    known?.endsWith(`_${ending}`) === true ? context.kernel.symbol(known) : undefined;
  const what = `The ${role.replace("_", " ")} of ${path}`;
  checker.check({
    what,
    struct: role,
    table: value,
    slot,
    subject,
    ...(expected === undefined ? {} : { expected }),
    stranger: isKernels && strangerTo(context, value, 0),
  });
}

/** An entry that the kernel has functions or a table for, by their names: no other module makes it. */
function isKernelEntry({ kernel }: CheckContext, path: string): boolean {
  if (KNOWN.has(path)) return true;
  const name = /^\/proc\/(?:net\/)?([\w-]+)$/.exec(path)?.[1]?.replaceAll("-", "_");
  if (name === undefined) return false;
  return ENTRY_NAMES.some((form) => !Number.isNaN(kernel.symbol(form.replace("NAME", name))));
}
