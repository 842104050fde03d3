import assert from "node:assert/strict";
import { dumpForms } from "../vm/harness/dump-forms.ts";
import type { DumpForm } from "../vm/harness/dump-forms.ts";
import type { Machine, RamKind } from "../vm/harness/qemu-arguments.ts";

/**
 * A covering list of guests: the whole cross product would be 4 kernels × 4 numbers of processors ×
 * 4 sizes × 3 kinds of RAM × 2 depths of page tables = 384 guests, each of which has to be booted
 * with three different contents. Instead every *pair* of values appears in some guest: an
 * orthogonal array of 16 rows, five columns of four values each (the lines of the affine plane over
 * the field of four elements).
 */
export type CrossGuest = {
  readonly name: string;
  readonly kernel: string;
  readonly cpus: number;
  readonly memory: string;
  readonly ram: RamKind;
  readonly levels: 4 | 5;
  readonly machine: Machine;
  /** How it is dumped. */
  readonly forms: readonly DumpForm[];
};

const kernels = ["bookworm/cloud", "bookworm/generic", "trixie/cloud", "trixie/generic"];
const cpus = [1, 2, 3, 4];
const memories = ["512M", "1G", "3G", "6G"];
const kinds: readonly RamKind[] = ["memfd", "file", "anonymous", "memfd"];
const shapes: readonly { levels: 4 | 5; machine: Machine }[] = [
  { levels: 4, machine: "q35" },
  { levels: 5, machine: "q35" },
  { levels: 4, machine: "pc" },
  { levels: 5, machine: "microvm" },
];

/** Multiplication by the two elements of the field that are neither 0 nor 1; addition is XOR. */
const times2 = [0, 2, 3, 1];
const times3 = [0, 3, 1, 2];
/** So many dumps of each guest are enough for all pairs. */
const FORMS = 5;

type Bare = Omit<CrossGuest, "forms">;

/** The sixteen guests. */
export function crossGuests(): CrossGuest[] {
  const bare = [0, 1, 2, 3].flatMap((a) => [0, 1, 2, 3].map((b) => guestAt(a, b)));
  const guests = withForms(bare);
  assertPairs(guests);
  return guests;
}

function guestAt(a: number, b: number): Bare {
  const values = {
    kernel: kernels[a],
    cpus: cpus[b],
    memory: memories[a ^ b],
    ram: kinds[a ^ times2[b]],
    ...shapes[a ^ times3[b]],
  };
  const { kernel, machine, ram, levels, memory } = values;
  const name = `${kernel} ${machine} ${ram} ${levels}-level ${values.cpus} cpus ${memory}`;
  return { name, ...values };
}

/** What every form of dump has to be tried with. */
const traits = ["kernel", "memory", "ram", "levels"] as const;

/** Gives each guest the forms that most of its values were not yet tried with. */
function withForms(guests: readonly Bare[]): CrossGuest[] {
  const tried = new Set<string>();
  return guests.map((guest) => {
    const pairs = (form: DumpForm): string[] =>
      traits.map((trait) => `${guest[trait]} ${form.name}`);
    const news = (form: DumpForm): number => {
      const count = pairs(form).filter((pair) => !tried.has(pair)).length;
      // What few guests can have comes first there.
      return count > 0 && isLarge(guest) && isByQemu(form) ? count + traits.length : count;
    };
    const forms: DumpForm[] = [];
    while (forms.length < FORMS) {
      const left = dumpForms.filter((form) => !forms.includes(form) && fits(guest, form));
      const best = left.reduce((one, other) => (news(other) > news(one) ? other : one));
      for (const pair of pairs(best)) tried.add(pair);
      forms.push(best);
    }
    return { ...guest, forms };
  });
}

/**
 * To dump a RAM file QEMU reads all of it, and the host then holds every page. That is too much of a
 * large guest on a small machine, but costs nothing where RAM is private.
 */
function fits(guest: Bare, form: DumpForm): boolean {
  // Where a mapping goes on in the next block of RAM, as it does at 0xf0000 of a microvm, QEMU 7.2
  // stores no more of it than lies in the first (get_offset_range of dump/dump.c; measured).
  if (guest.machine === "microvm" && form.name === "ELF with paging") return false;
  return guest.ram === "anonymous" || !isLarge(guest) || !isByQemu(form);
}

function isLarge({ memory }: Bare): boolean {
  return memory === "3G" || memory === "6G";
}

function isByQemu({ name }: DumpForm): boolean {
  return /^(ELF|kdump-zlib)/.test(name);
}

function assertPairs(guests: readonly CrossGuest[]): void {
  const columns = ["kernel", "cpus", "memory", "ram", "levels"] as const;
  for (const one of columns) {
    for (const other of columns.filter((column) => column > one)) {
      const pairs = new Set(guests.map((guest) => `${guest[one]} ${guest[other]}`));
      const values = (column: typeof one): number => new Set(guests.map((g) => g[column])).size;
      assert.equal(pairs.size, values(one) * values(other), `${one} × ${other}`);
    }
  }
  for (const trait of traits) {
    const tried = guests.flatMap((guest) =>
      guest.forms.map(({ name }) => `${guest[trait]} ${name}`),
    );
    const values = new Set(guests.map((guest) => guest[trait])).size;
    assert.equal(new Set(tried).size, values * dumpForms.length, `${trait} × forms of dumps`);
  }
}
