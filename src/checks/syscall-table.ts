import type { GuestVirtual } from "../base/address.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";

/** Symbol of a table, and how the functions that it may hold are called. */
type Table = { readonly symbol: string; readonly handler: RegExp };

const TABLES: readonly Table[] = [
  { symbol: "sys_call_table", handler: /^__(x64|x32_compat|x32)_sys_|^sys_ni_syscall$/ },
  { symbol: "ia32_sys_call_table", handler: /^__(ia32|ia32_compat|x64)_sys_|^sys_ni_syscall$/ },
  { symbol: "x32_sys_call_table", handler: /^__(x64|x32_compat|x32)_sys_|^sys_ni_syscall$/ },
];

/** Longest table that is looked at; Linux 7.3 has some 470 system calls, x32 ends at 547. */
const MAX_ENTRIES = 1024;

/** Every slot of the system-call tables leads to the very start of a system call's handler. */
export const syscallTable: Check = {
  id: "syscall-table",
  proves: "Every slot of the native, ia32 and x32 system-call tables holds the start of a handler.",
  reads: "sys_call_table, ia32_sys_call_table, x32_sys_call_table",
  attack: ["T1014"],
  shares: ["kernel rodata"],
  limits:
    "Handlers swapped for one another inside the table need the kernel file or a baseline; patched handlers are kernel-text's.",
  run(context) {
    const present = TABLES.filter(({ symbol }) => Number.isFinite(context.kernel.symbol(symbol)));
    if (present.length === 0) context.skip("this kernel has no system-call table");
    for (const table of present) checkTable(context, table);
  },
};

function checkTable(context: CheckContext, { symbol, handler }: Table): void {
  const { kernel } = context;
  const start = kernel.symbol(symbol);
  const size = kernel.symbols.at(start)?.size ?? 0;
  const entries = Math.min(Math.floor(size / 8), MAX_ENTRIES);
  let looked = 0;
  for (let number = 0; number < entries; number++) {
    const target = kernel.space.pointer(start + number * 8);
    // What follows the table up to the next symbol is padding.
    if (target === 0) continue;
    if (target !== target) context.unseen(`${symbol}[${number}] cannot be read`);
    else looked++;
    if (target === target && !isHandler(context, target, handler)) {
      reportSlot(context, symbol, number, target);
    }
  }
  context.cover(looked, looked);
}

function isHandler({ kernel }: CheckContext, target: GuestVirtual, handler: RegExp): boolean {
  const { first, end } = kernel.symbols.range(target, target + 1);
  for (let index = first; index < end; index++) {
    if (handler.test(kernel.symbols.name(index))) return true;
  }
  return false;
}

function reportSlot(
  context: CheckContext,
  table: string,
  number: number,
  target: GuestVirtual,
): void {
  const { kernel, facts } = context;
  const at = kernel.symbols.at(target);
  const place = facts.get(codeOwners).describe(target);
  context.report({
    severity: "critical",
    confidence: "high",
    title: `System call ${number} of ${table} leads to ${at?.name ?? `what is no kernel text: ${place}`}.`,
    subject: { table, number },
    evidence: {
      slot: kernel.format(kernel.symbol(table) + number * 8),
      seen: kernel.format(target),
      owner: facts.get(codeOwners).ownerOf(target)?.name ?? null,
      symbol: at === undefined ? null : `${at.name}+0x${at.offset.toString(16)}`,
    },
  });
}
