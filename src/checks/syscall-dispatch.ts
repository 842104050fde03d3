import { Syscalls } from "../linux/syscall.ts";
import type { Syscall, SyscallTableName } from "../linux/syscall.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";

/** How the functions are called that a dispatcher may lead to (arch/x86/include/asm/syscall_wrapper.h). */
const HANDLERS: ReadonlyMap<SyscallTableName, RegExp> = new Map([
  ["x64_sys_call", /^__(x64|x32_compat|x32)_(compat_)?sys_|^sys_ni_syscall$/],
  ["ia32_sys_call", /^__(ia32|ia32_compat|x64)_(compat_)?sys_|^sys_ni_syscall$/],
  ["x32_sys_call", /^__(x64|x32_compat|x32)_(compat_)?sys_|^sys_ni_syscall$/],
]);

/** The table that lists what a dispatcher calls, for those who only want names. */
const SAME_AS: ReadonlyMap<SyscallTableName, SyscallTableName> = new Map([
  ["x64_sys_call", "sys_call_table"],
  ["ia32_sys_call", "ia32_sys_call_table"],
]);

/** Where a kernel dispatches system calls by code, each number leads to the handler of that number. */
export const syscallDispatch: Check = {
  id: "syscall-dispatch",
  proves:
    "The code that dispatches system calls leads, for each number, to the start of a handler, and to the one that the kernel's table names for that number.",
  reads: "the code of x64_sys_call, ia32_sys_call and x32_sys_call; sys_call_table",
  attack: ["T1014"],
  shares: ["kernel text", "kernel rodata"],
  limits:
    "Follows comparisons and calls as compilers write them; what it cannot follow it reports as unseen. The entry code before the dispatcher is for kernel-text.",
  run(context) {
    const { kernel, facts } = context;
    const problems: string[] = [];
    const calls = new Syscalls(kernel, facts.get(codeOwners));
    const rows = [...calls.all((reason) => problems.push(reason))];
    const dispatched = rows.filter(({ table }) => HANDLERS.has(table));
    if (![...HANDLERS.keys()].some((name) => Number.isFinite(kernel.symbol(name)))) {
      // Nothing can be changed here: syscall-table covers such a kernel.
      context.cover(0);
      return;
    }
    for (const problem of problems) context.unseen(problem);
    const listed = new Map(rows.map((row) => [`${row.table}/${row.number}`, row]));
    for (const row of dispatched) checkCall(context, row, listed);
    context.cover(
      dispatched.filter(({ address }) => address === address).length,
      dispatched.length,
    );
  },
};

function checkCall(
  context: CheckContext,
  row: Syscall,
  listed: ReadonlyMap<string, Syscall>,
): void {
  if (row.address !== row.address) return;
  const expected = listed.get(`${SAME_AS.get(row.table)}/${row.number}`);
  const differs = expected !== undefined && expected.address !== row.address;
  if (isHandler(context, row) && !differs) return;
  context.report({
    severity: "critical",
    confidence: "high",
    title: `System call ${row.number} (${row.name ?? "no name"}) is dispatched to ${row.target} by ${row.table}.`,
    subject: { dispatcher: row.table, number: row.number },
    evidence: {
      expected: expected?.target ?? "a system call's handler",
      seen: context.kernel.format(row.address),
      target: row.target,
      owner: row.owner ?? null,
    },
  });
}

/** The start of a handler; several symbols may stand there. */
function isHandler({ kernel }: CheckContext, { table, address }: Syscall): boolean {
  const { first, end } = kernel.symbols.range(address, address + 1);
  for (let index = first; index < end; index++) {
    if (HANDLERS.get(table)?.test(kernel.symbols.name(index)) === true) return true;
  }
  return false;
}
