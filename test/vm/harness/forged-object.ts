import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import type { HookPlace } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";

/** TAINT_OOT_MODULE: the module says that it was built outside the kernel's tree. */
const TAINT_OOT_MODULE = 12;

/** While this stands the module is one from outside the distribution. */
export function makeForeign({ kernel, editor, module }: HookPlace): () => void {
  const taints = Buffer.alloc(8);
  taints.writeUInt32LE(1 << TAINT_OOT_MODULE);
  return editor.write(module + kernel.offset("module", "taints"), taints);
}

/** The unused end of the kernel's log: memory for what an attacker's module would bring along. */
export function scratch({ kernel }: HookPlace): GuestVirtual {
  const log = kernel.requireSymbol("__log_buf");
  const size = kernel.symbols.at(log)?.size ?? 0;
  assert.ok(size >= 0x1_0000);
  return log + size - 0x1000;
}

/** Makes up an object: these of its members, each a pointer, and zeros. */
export function forge(
  { kernel, editor }: HookPlace,
  struct: string,
  at: GuestVirtual,
  members: Readonly<Record<string, GuestVirtual>>,
): () => void {
  const zeros = editor.write(at, new Uint8Array(kernel.types.size(struct)));
  const pointers = Object.entries(members).map(([path, value]) =>
    editor.writePointer(at + kernel.offset(struct, path), value),
  );
  return together(zeros, ...pointers);
}

/** Makes a list_head of which `node` is the only other member. */
export function linked({ editor }: HookPlace, head: GuestVirtual, node: GuestVirtual): () => void {
  return together(
    editor.writePointer(node, head),
    editor.writePointer(node + 8, head),
    editor.writePointer(head + 8, node),
    editor.writePointer(head, node),
  );
}
