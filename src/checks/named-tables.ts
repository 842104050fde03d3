import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction } from "./function-target.ts";

/** How the kernel names its tables of functions. */
const TABLE = /_(ops|fops|iops|aops|dops|operations|prot|protocol|ldisc)(\.\w+)*$/;
/** Constant and initialised data, as nm says it. */
const DATA = /^[rRdD]$/;
/** No table of functions is larger; what follows has no name of its own. */
const MAX_SIZE = 2048;

type NamedTable = { readonly name: string; readonly address: GuestVirtual; readonly size: number };

/** Symbols do not change while a kernel runs. */
const cache = new WeakMap<Kernel, readonly NamedTable[]>();

/**
 * Looks at each word of the image's tables that leads to code: it may be the kernel's or a module's
 * of the distribution, never a foreign module's or anything executable that nobody owns. Returns the
 * number of tables.
 */
export function checkNamedTables(context: CheckContext): number {
  const owners = context.facts.get(codeOwners);
  // Tables for booting only are gone, and their memory is somebody else's.
  const tables = namedTables(context.kernel).filter(
    ({ address }) => owners.ownerOf(address)?.kind === "kernel",
  );
  let unread = 0;
  for (const table of tables) if (!checkTable(context, table)) unread++;
  if (unread > 0) context.unseen(`${unread} tables of functions are not in memory`);
  return tables.length;
}

function namedTables(kernel: Kernel): readonly NamedTable[] {
  const known = cache.get(kernel);
  if (known !== undefined) return known;
  const tables: NamedTable[] = [];
  const { symbols, image } = kernel;
  const { first, end } = symbols.range(image.virtual, image.virtual + image.size);
  for (let index = first; index < end; index++) {
    if (!DATA.test(symbols.type(index))) continue;
    const name = symbols.name(index);
    if (!TABLE.test(name)) continue;
    const address = symbols.addresses[index];
    const size = symbols.at(address)?.size ?? 0;
    if (size >= 8) tables.push({ name, address, size: Math.min(size, MAX_SIZE) });
  }
  cache.set(kernel, tables);
  return tables;
}

function checkTable(context: CheckContext, { name, address, size }: NamedTable): boolean {
  const { kernel } = context;
  const { folding } = kernel.space;
  const bytes = kernel.space.bytes(address, size);
  if (bytes === undefined) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 8 <= size; at += 8) {
    const high = view.getUint32(at + 4, true);
    // Kernel addresses only: NULL, numbers and flags are most of it.
    if (high < 0x8000_0000) continue;
    const target = folding.fold(view.getUint32(at, true), high);
    // What is not canonical is no pointer.
    if (target !== target || !leadsToCode(context, target)) continue;
    checkFunction(context, {
      what: `Table ${name}+0x${at.toString(16)}`,
      subject: { table: name, offset: at },
      target,
      slot: address + at,
      allowed: "distribution",
      module: "high",
    });
  }
  return true;
}

/** Code of a module, or executable memory of nobody; kernel text is for those who know the table's type. */
function leadsToCode({ kernel, facts }: CheckContext, target: GuestVirtual): boolean {
  const { virtual, size } = kernel.image;
  if (target >= virtual && target < virtual + size) return false;
  const owner = facts.get(codeOwners).ownerOf(target);
  if (owner !== undefined) return owner.kind === "module" && owner.part === "text";
  const leaf = kernel.space.tables.leafEntry(target);
  // Bit 63 of an entry forbids execution.
  return leaf !== undefined && leaf.high < 0x8000_0000;
}
