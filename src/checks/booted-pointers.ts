import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";

/** A pointer that leads astray. */
export type StrayPointer = { readonly slot: GuestVirtual; readonly target: GuestVirtual };

const SECTION = ".data";
const WORD = 8;
const NO_EXECUTE = 0x8000_0000;

/** A variable of the kernel file that points to a function, and to which. */
type BootedPointer = { readonly slot: GuestVirtual; readonly expected: GuestVirtual };

/** The file does not change. */
const cache = new WeakMap<TextIntegrity, readonly BootedPointer[]>();

/**
 * Pointers to functions that the kernel file has in its variables, and that now lead into the middle
 * of a function, or to executable memory of nobody. The kernel itself sets some of them anew, to
 * functions and to nothing. Without a kernel file there are none to look at.
 */
export function* bootedPointers(context: CheckContext): Generator<StrayPointer> {
  const { kernel, facts } = context;
  const { text } = facts.host;
  if (text === undefined) return;
  const slots = cache.get(text) ?? functionSlots(kernel, text);
  cache.set(text, slots);
  for (const { slot, expected } of slots) {
    const target = kernel.space.pointer(slot);
    if (target < 0 && target !== expected && isStray(context, target)) yield { slot, target };
  }
  context.cover(slots.length);
}

function functionSlots(kernel: Kernel, text: TextIntegrity): BootedPointer[] {
  const section = text.section(SECTION);
  if (section === undefined) return [];
  const slots: BootedPointer[] = [];
  const end = section.start + section.size;
  for (let from = section.start; from < end; from += PAGE_SIZE) {
    const bytes = text.file.bytes(from, Math.min(PAGE_SIZE, end - from));
    if (bytes === undefined) continue;
    for (let at = 0; at + WORD <= bytes.length; at += WORD) {
      const expected = text.file.pointer(from + at);
      if (expected < 0 && isFunction(kernel, expected)) slots.push({ slot: from + at, expected });
    }
  }
  return slots;
}

function isFunction({ symbols }: Kernel, address: GuestVirtual): boolean {
  const at = symbols.at(address);
  return at?.offset === 0 && /^[tT]$/.test(at.type);
}

function isStray({ kernel, facts }: CheckContext, target: GuestVirtual): boolean {
  const owner = facts.get(codeOwners).ownerOf(target);
  if (owner?.kind === "kernel") return owner.part === "text" && owner.offset !== 0;
  if (owner !== undefined) return false;
  const leaf = kernel.space.tables.leafEntry(target);
  return leaf !== undefined && leaf.high < NO_EXECUTE;
}
