import type { GuestVirtual } from "../base/address.ts";
import { functionMembers } from "../linux/function-members.ts";
import type { CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import type { Json, Severity } from "./finding.ts";
import { checkFunction, foreignModules } from "./function-target.ts";
import type { Allowed } from "./function-target.ts";

/** A table of functions that something leads to: `file_operations`, `seq_operations`, … */
export type OperationsTable = {
  /** For people: `The file operations of /proc/net/tcp`. */
  readonly what: string;
  readonly struct: string;
  readonly table: GuestVirtual;
  readonly subject: Readonly<Record<string, Json>>;
  /** Where the pointer to the table lies. */
  readonly slot?: GuestVirtual;
  /** The table that it has to be, where one is known. */
  readonly expected?: GuestVirtual;
  /** It is of a module that has nothing to do with the object that leads to it. */
  readonly stranger?: boolean;
  /** It was made for one object, wherever memory was free, and has functions of these. */
  readonly made?: Allowed;
};

/**
 * Whether a table is a foreign module's, and what leads to it belongs to `module`, which is not:
 * drivers from elsewhere may have several modules.
 */
export function strangerTo(
  { facts }: CheckContext,
  table: GuestVirtual,
  module: GuestVirtual,
): boolean {
  const foreign = facts.get(foreignModules);
  return foreign.has(facts.get(codeOwners).moduleAt(table)?.module ?? 0) && !foreign.has(module);
}

/**
 * Looks at tables of functions, each once: it lies in the image or in a module, and its functions
 * are of whoever has the table.
 */
export class OperationsChecker {
  readonly #context: CheckContext;
  readonly #seen = new Set<string>();

  constructor(context: CheckContext) {
    this.#context = context;
  }

  /** How many tables were looked at. */
  get tables(): number {
    return this.#seen.size;
  }

  check(each: OperationsTable): void {
    const { table, expected } = each;
    if (table === 0) return;
    if (table !== table) return this.#context.unseen(`${each.what} cannot be read`);
    const owners = this.#context.facts.get(codeOwners);
    if (each.made === undefined && owners.mayHaveOwner(table))
      return this.#context.unseen(owners.undecoded.join("; "));
    const owner = owners.ownerOf(table);
    const isOut = owner === undefined || owner.part === "text" || owner.kind === "freed";
    if (isOut && each.made === undefined) {
      return this.#report(each, "critical", "lie where no table of functions belongs");
    }
    if (expected !== undefined && expected === expected && table !== expected) {
      this.#report(each, "critical", "are not the kernel's own");
    }
    if (each.stranger === true) {
      this.#report(each, "high", "are those of a module that has nothing to do with it");
    }
    const key = `${table}/${each.struct}`;
    if (this.#seen.has(key)) return undefined;
    this.#seen.add(key);
    this.#functions(each, each.made ?? this.#allowed(table));
    return undefined;
  }

  /** Functions of a table of the kernel are the kernel's; a module's may be its own or others'. */
  #allowed(table: GuestVirtual): Allowed {
    const { facts } = this.#context;
    const owners = facts.get(codeOwners);
    if (owners.ownerOf(table)?.kind === "kernel") return "kernel";
    const home = owners.moduleAt(table)?.module ?? 0;
    return facts.get(foreignModules).has(home) ? "listed" : "distribution";
  }

  #functions(each: OperationsTable, allowed: Allowed): void {
    const { kernel, facts } = this.#context;
    const home = facts.get(codeOwners).describe(each.table);
    if (kernel.types.struct(each.struct) === 0) {
      return this.#context.unseen(`where functions lie in struct ${each.struct} is not known`);
    }
    for (const { name, offset } of functionMembers(kernel, each.struct)) {
      const target = kernel.space.pointer(each.table + offset);
      if (target === 0) continue;
      checkFunction(this.#context, {
        what: `Function ${name} of ${home} (${each.what.replace(/^The /, "the ")})`,
        subject: { table: home, function: name },
        target,
        slot: each.table + offset,
        allowed,
        ...(allowed === "kernel" ? {} : { module: "high" as const }),
      });
    }
  }

  #report(
    { what, subject, table, slot, expected }: OperationsTable,
    severity: Severity,
    why: string,
  ): void {
    const { kernel, facts } = this.#context;
    const owners = facts.get(codeOwners);
    this.#context.report({
      severity,
      confidence: owners.problems.length === 0 ? "high" : "low",
      title: `${what} ${why}: ${owners.describe(table)}.`,
      subject,
      evidence: {
        table: kernel.format(table),
        place: owners.describe(table),
        expected: expected === undefined ? null : owners.describe(expected),
        slot: slot === undefined ? null : kernel.format(slot),
      },
    });
  }
}
