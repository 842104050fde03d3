import assert from "node:assert/strict";
import { entryFrame } from "../../../src/arch/x86/page-tables.ts";
import type { GuestPhysical, GuestVirtual } from "../../../src/base/address.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { Tasks } from "../../../src/linux/task.ts";
import type { CodeTampering } from "./code-tamperings.ts";
import { together } from "./hook-tamperings.ts";

const WRITABLE = 2;
const USER = 4;
const LARGE = 0x80;
const ENTRIES = 512;

/** Changes of the page tables themselves. */
export const pageTamperings: readonly CodeTampering[] = [
  {
    title: "a page of module memory made executable",
    check: "kernel-pages",
    tamper: (kernel, editor) => {
      const stack = kernel.offset("task_struct", "stack");
      const task = kernel.space.pointer(kernel.requireSymbol("init_task") + stack);
      const entry = leaf(kernel, task);
      return editor.writePhysical(entry.address + 7, Uint8Array.of((entry.high >>> 24) & 0x7f));
    },
    says: /belongs to nobody/,
  },
  {
    title: "kernel text made writable",
    check: "kernel-pages",
    tamper: (kernel, editor) => {
      const entry = leaf(kernel, kernel.image.virtual);
      return editor.writePhysical(entry.address, Uint8Array.of((entry.low & 0xff) | WRITABLE));
    },
    says: /both writable and executable/,
  },
  {
    title: "constant data made writable",
    check: "kernel-pages",
    tamper: (kernel, editor) => {
      const entry = leaf(kernel, kernel.requireSymbol("sys_call_table"));
      return editor.writePhysical(entry.address, Uint8Array.of((entry.low & 0xff) | WRITABLE));
    },
    says: /Constant data of the kernel at 0x\w+ can be written/,
  },
  {
    title: "kernel memory opened to programs",
    check: "kernel-pages",
    tamper: (kernel, editor) => {
      const path = pathTo(kernel, kernel.requireSymbol("init_task"));
      const open = path.map(({ address, low }) =>
        editor.writePhysical(address, Uint8Array.of((low & 0xff) | USER)),
      );
      return together(...open);
    },
    says: /can be reached by user programs/,
  },
  {
    title: "all of the kernel's image once more, in a region of memory that was empty",
    check: "kernel-pages",
    tamper: (kernel, editor) => {
      const { tables } = kernel.space;
      const image = tables.entry(tables.root, ENTRIES - 1)!;
      return editor.writePhysical(tables.root + freeRegion(kernel) * 8, entryBytes(image));
    },
    says: /belongs to nobody/,
  },
  {
    title: "kernel memory that only one process has",
    check: "kernel-pages",
    tamper: (kernel, editor) => {
      const tasks = new Tasks(kernel);
      const [init] = tasks.processes(kernel.budget());
      const pgd = kernel.reader("mm_struct", "pgd")(tasks.mm(init));
      const { tables } = kernel.space;
      const shared = tables.entry(tables.root, ENTRIES - 1)!;
      return editor.write(pgd + freeRegion(kernel) * 8, entryBytes(shared));
    },
    says: /Process 1 \(.*\) has kernel memory of its own/,
  },
];

type Entry = { readonly low: number; readonly high: number; readonly address: GuestPhysical };

/** The last entry of the kernel's top table that leads nowhere. */
function freeRegion({ space: { tables } }: Kernel): number {
  for (let index = ENTRIES - 1; index >= ENTRIES / 2; index--) {
    if (tables.entry(tables.root, index)?.low === 0) return index;
  }
  return assert.fail("every entry of the kernel's top table is taken");
}

function entryBytes({ low, high }: { readonly low: number; readonly high: number }): Buffer {
  const entry = Buffer.alloc(8);
  entry.writeUInt32LE(low, 0);
  entry.writeUInt32LE(high, 4);
  return entry;
}

function leaf(kernel: Kernel, address: GuestVirtual): Entry {
  const entry = kernel.space.tables.leafEntry(address);
  assert.ok(entry !== undefined);
  return entry;
}

/** The entries on the way to a page, the topmost first. */
function pathTo(kernel: Kernel, address: GuestVirtual): Entry[] {
  const { tables, folding } = kernel.space;
  const bits = folding.unfold(address);
  const path: Entry[] = [];
  let table = tables.root;
  for (let shift = tables.levels === 5 ? 48n : 39n; shift >= 12n; shift -= 9n) {
    const entry = tables.entry(table, Number((bits >> shift) & 511n));
    assert.ok(entry !== undefined);
    path.push(entry);
    if ((entry.low & LARGE) !== 0 && shift < 39n) break;
    table = entryFrame(entry.low, entry.high);
  }
  return path;
}
