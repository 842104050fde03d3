import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { isLinked, listSnapshot } from "./list-snapshot.ts";

export type AuditState = {
  /** 0 off, 1 on, 2 on and locked until the next boot. */
  readonly enabled: number;
  /** How many rules for system calls the kernel counts (`audit_n_rules`). */
  readonly counted: number;
  /** How many of those are on the list that auditctl shows. */
  readonly shown: number;
  /** How many rules of all kinds that list has. */
  readonly listed: number;
  /** How many rules are where the kernel looks when something happens. */
  readonly applied: number;
};

/** AUDIT_NR_FILTERS (include/uapi/linux/audit.h) was 7, and is 8 since 5.16. */
const MAX_FILTERS = 8;
const INODE_BUCKETS = 32;
/** AUDIT_FILTER_USER, EXCLUDE and FS: audit_add_rule does not count these (kernel/auditfilter.c). */
const UNCOUNTED = new Set([0, 5, 6]);

/** What the audit system does; undefined where the kernel has none or it cannot be read. */
export function auditState(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): AuditState | undefined {
  const enabled = kernel.space.u32(kernel.symbol("audit_enabled"));
  const counted = kernel.space.i32(kernel.symbol("audit_n_rules"));
  if (enabled !== enabled || counted !== counted) return undefined;
  const count = (head: GuestVirtual, struct: string, link: string): number =>
    listSnapshot(kernel, head, kernel.offset(struct, link), budget, problem).length;
  let [shown, listed, applied] = [0, 0, 0];
  for (const [filter, head] of heads(kernel, "audit_rules_list", MAX_FILTERS)) {
    const rules = count(head, "audit_krule", "list");
    listed += rules;
    if (!UNCOUNTED.has(filter)) shown += rules;
  }
  for (const [, head] of heads(kernel, "audit_filter_list", MAX_FILTERS)) {
    applied += count(head, "audit_entry", "list");
  }
  for (const [, head] of heads(kernel, "audit_inode_hash", INODE_BUCKETS)) {
    applied += count(head, "audit_entry", "list");
  }
  return { enabled, counted, shown, listed, applied };
}

/** Heads of the lists in an array, up to the first that is none: how many there are nobody tells. */
function* heads(kernel: Kernel, symbol: string, most: number): Generator<[number, GuestVirtual]> {
  const array = kernel.requireSymbol(symbol);
  for (let index = 0; index < most; index++) {
    const head = array + index * kernel.types.size("list_head");
    if (!isLinked(kernel, head)) return;
    yield [index, head];
  }
}
