import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";

type Problem = (reason: string) => void;

/** A function that decides about access, at one hook of a Linux security module. */
export type LsmHook = {
  /** As in include/linux/lsm_hook_defs.h: `file_open`. */
  readonly hook: string;
  /** Its `struct security_hook_list`. */
  readonly entry: GuestVirtual;
  readonly target: GuestVirtual;
};

/** Arrays as every security module registers one: `apparmor_hooks`. */
const ARRAYS = /^(?!security_)\w+_hooks(\.\w+)*$/;

/**
 * Every security hook that is called: lists in `security_hook_heads`, since 6.12 a table of static
 * calls (`static_calls_table`, 417c5643cd67), both in security/security.c. `problem` is told where a
 * list could not be read to its end.
 */
export function* lsmHooks(kernel: Kernel, problem: Problem): Generator<LsmHook> {
  const table = kernel.symbol("static_calls_table");
  if (table === table && kernel.types.has("lsm_static_call", "hl"))
    yield* staticCalls(kernel, table);
  else yield* listed(kernel, kernel.requireSymbol("security_hook_heads"), problem);
}

function* listed(kernel: Kernel, heads: GuestVirtual, problem: Problem): Generator<LsmHook> {
  const hook = kernel.addressReader("security_hook_list", "hook");
  const link = kernel.offset("security_hook_list", "list");
  const { source } = kernel.types;
  for (const { name, bitOffset } of source.members(kernel.types.struct("security_hook_heads"))) {
    const head = heads + bitOffset / 8;
    for (const entry of hlistEntries(kernel, head, link, kernel.budget(), problem)) {
      yield { hook: name, entry, target: hook(entry) };
    }
  }
}

function* staticCalls(kernel: Kernel, table: GuestVirtual): Generator<LsmHook> {
  const { types } = kernel;
  const hook = kernel.addressReader("security_hook_list", "hook");
  const entryOf = kernel.reader("lsm_static_call", "hl");
  const keyOf = kernel.reader("lsm_static_call", "key");
  const called = kernel.reader("static_call_key", "func");
  const size = types.size("lsm_static_call");
  for (const member of types.source.members(types.struct("lsm_static_calls_table"))) {
    const calls = table + member.bitOffset / 8;
    const count = types.source.size(member.typeId) / size;
    for (let index = 0; index < count; index++) {
      const entry = entryOf(calls + index * size);
      if (entry === 0) continue;
      yield { hook: member.name, entry, target: hook(entry) };
      yield { hook: member.name, entry, target: called(keyOf(calls + index * size)) };
    }
  }
}

/** A security module's array of hooks, of which some are called and some are not. */
export type HookArray = { readonly name: string; readonly missing: readonly GuestVirtual[] };

/**
 * Arrays that were registered, with those of their hooks that are not called any more: security
 * modules register all of an array at once, and nothing takes one hook away again.
 */
export function hookArrays(kernel: Kernel, called: ReadonlySet<GuestVirtual>): HookArray[] {
  const size = kernel.types.size("security_hook_list");
  const hook = kernel.addressReader("security_hook_list", "hook");
  const arrays = new Map<GuestVirtual, { name: string; size: number }>();
  for (const entry of called) {
    const at = kernel.symbols.at(entry);
    if (at !== undefined && ARRAYS.test(at.name)) arrays.set(at.address, at);
  }
  return Array.from(arrays, ([start, array]) => {
    const entries = Array.from(
      { length: Math.floor(Math.min(array.size, 0x1_0000) / size) },
      (_, index) => start + index * size,
    );
    // What follows the last one up to the next symbol is padding.
    const missing = entries.filter((entry) => hook(entry) < 0 && !called.has(entry));
    return { name: array.name, missing };
  });
}
