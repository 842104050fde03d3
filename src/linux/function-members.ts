import { BtfKind } from "../formats/btf.ts";
import type { Kernel } from "./kernel.ts";

/** A member of an operations table that holds a pointer to a function. */
export type FunctionMember = { readonly name: string; readonly offset: number };

const cache = new WeakMap<Kernel, Map<string, readonly FunctionMember[]>>();

/** Pointers to functions among the members of a struct, unions of them included. */
export function functionMembers(kernel: Kernel, struct: string): readonly FunctionMember[] {
  const known = cache.get(kernel) ?? new Map<string, readonly FunctionMember[]>();
  cache.set(kernel, known);
  let members = known.get(struct);
  if (members === undefined) {
    members = [...find(kernel, kernel.types.struct(struct), 0, 0)];
    known.set(struct, members);
  }
  return members;
}

const MAX_DEPTH = 4;

function* find(
  kernel: Kernel,
  type: number,
  base: number,
  depth: number,
): Generator<FunctionMember> {
  const { source } = kernel.types;
  for (const { name, typeId, bitOffset } of source.members(type)) {
    const stripped = source.strip(typeId);
    const offset = base + bitOffset / 8;
    const kind = source.kind(stripped);
    const target = source.strip(source.referenced(stripped));
    if (kind === BtfKind.PTR && source.kind(target) === BtfKind.FUNC_PROTO) yield { name, offset };
    else if (kind === BtfKind.STRUCT || kind === BtfKind.UNION) {
      if (depth < MAX_DEPTH) yield* find(kernel, stripped, offset, depth + 1);
    }
  }
}
