import type { GuestPhysical } from "../../../src/base/address.ts";
import type { CopiedMemory } from "../../fixtures/copied-memory.ts";

export type Random = () => number;

/** Words that bounds checks, counts and pointer checks get wrong. */
const NASTY: readonly bigint[] = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
  // LIST_POISON1 and 2, the first address of the kernel's half, the last page of the user's.
  0xdead_0000_0000_0100n,
  0xdead_0000_0000_0122n,
  0xffff_8000_0000_0000n,
  0x7fff_ffff_f000n,
];

const READ_BEHIND = 256;

/** Something that views read: words, by their guest-physical addresses. */
export type Targets = readonly GuestPhysical[];

/** Damages up to 64 of the words that `targets` names; the same ones for the same numbers. */
export function damageWords(memory: CopiedMemory, targets: Targets, next: Random): void {
  for (let changes = 1 + (next() % (next() % 4 === 0 ? 64 : 6)); changes > 0; changes--) {
    // A structure that is copied whole is noted by where it begins.
    const within = next() % 2 === 0 ? 0 : (next() % (READ_BEHIND / 8)) * 8;
    const at = (targets[next() % targets.length] ?? 0) + within;
    if (at + 8 <= memory.u8.length) damageWord(memory, at, targets, next);
  }
}

function damageWord(memory: CopiedMemory, at: number, targets: Targets, next: Random): void {
  const word = memory.damage(at, 8);
  const view = new DataView(word.buffer, word.byteOffset, word.byteLength);
  const other = targets[next() % targets.length] ?? 0;
  switch (next() % 8) {
    case 0:
      word[next() % 8] ^= 1 << (next() % 8);
      break;
    case 1:
      view.setBigUint64(0, NASTY[next() % NASTY.length] ?? 0n, true);
      break;
    case 2:
      view.setUint32((next() % 2) * 4, Number((NASTY[next() % NASTY.length] ?? 0n) & 0xffff_ffffn));
      break;
    case 3:
      view.setBigUint64(0, (BigInt(next()) << 32n) | BigInt(next()), true);
      break;
    case 4:
    case 5:
      // Lists and trees that run into themselves and into each other.
      memory.u8.copyWithin(at, other, other + 8);
      break;
    case 6:
      view.setBigUint64(0, view.getBigUint64(0, true) + BigInt(next() % 4096) - 2048n, true);
      break;
    default:
      view.setUint16((next() % 4) * 2, next() & 0xffff, true);
  }
}

/** Damages whole pages that `targets` lie in: zero, ones, noise, another page's content. */
export function damagePages(memory: CopiedMemory, targets: Targets, next: Random): void {
  for (let changes = 1 + (next() % 3); changes > 0; changes--) {
    const at = pageOf(targets[next() % targets.length] ?? 0);
    const other = pageOf(targets[next() % targets.length] ?? 0);
    const page = memory.damage(at, 4096);
    const kind = next() % 4;
    if (kind === 0) page.fill(0);
    else if (kind === 1) page.fill(0xff);
    else if (kind === 2) memory.u8.copyWithin(at, other, other + 4096);
    else for (let byte = 0; byte < 4096; byte++) page[byte] = next();
  }
}

/** Lets entries of page tables lead to the tables themselves, to one another, or nowhere. */
export function damageTables(memory: CopiedMemory, tables: Targets, next: Random): void {
  for (let changes = 1 + (next() % 4); changes > 0; changes--) {
    const table = pageOf(tables[next() % tables.length] ?? 0);
    const entry = memory.damage(table + (next() % 512) * 8, 8);
    const view = new DataView(entry.buffer, entry.byteOffset, 8);
    const leadsTo = [table, pageOf(tables[next() % tables.length] ?? 0), next() * 4096][next() % 3];
    const flags = [0x63n, 0x67n, 0xe3n, 0x8000_0000_0000_0063n][next() % 4] ?? 0n;
    view.setBigUint64(0, BigInt(leadsTo ?? 0) | flags, true);
  }
}

function pageOf(address: GuestPhysical): GuestPhysical {
  return address - (address % 4096);
}
