import { BtfKind } from "./type-source.ts";
import type { TypeSource } from "./type-source.ts";

/** Longest chain of pointers, arrays and qualifiers in one declaration. */
const MAX_CHAIN = 64;
/** Functions that take functions that take functions … */
const MAX_NESTING = 8;
/** Parameters written in one declaration, nested ones included. */
const MAX_PARAMETERS = 1000;

/** How deep in parameters we are, and how many may still be written. */
type Limits = { readonly nesting: number; readonly budget: { parameters: number } };

const QUALIFIERS: ReadonlyMap<BtfKind, string> = new Map([
  [BtfKind.CONST, "const"],
  [BtfKind.VOLATILE, "volatile"],
  [BtfKind.RESTRICT, "restrict"],
]);

/** A declaration in three: what C writes before the base type, that type, and the rest. */
export type Declaration = {
  /** `const `, `volatile ` …, or empty. */
  readonly qualifiers: string;
  readonly base: number;
  /** ` *name[4]`; begins with a space where one is due. */
  readonly declarator: string;
  /** The base lies in what is declared, once or as an array: no pointer or function in between. */
  readonly embedded: boolean;
};

/**
 * `name` declared in C with that type, spaced as libbpf's btf_dump spaces it:
 * `int (*next[4])(const char *)`. An empty name gives the type alone.
 */
export function declare(types: TypeSource, id: number, name: string): string {
  return declareWithin(types, id, name, outermost());
}

/** The same in parts, for who wants to write the base type's definition in its place. */
export function declaration(types: TypeSource, id: number, name: string): Declaration {
  return inParts(types, id, name, outermost());
}

function outermost(): Limits {
  return { nesting: 0, budget: { parameters: MAX_PARAMETERS } };
}

function declareWithin(types: TypeSource, id: number, name: string, limits: Limits): string {
  const { qualifiers, base, declarator } = inParts(types, id, name, limits);
  return qualifiers + baseName(types, base) + declarator;
}

function inParts(types: TypeSource, id: number, name: string, limits: Limits): Declaration {
  const chain = chainOf(types, id);
  const embedded = !chain.some((id) => {
    const kind = types.kind(id);
    return kind === BtfKind.PTR || kind === BtfKind.FUNC_PROTO;
  });
  const base = chain.pop() ?? 0;
  const qualifiers = takeQualifiers(types, chain);
  return { qualifiers, base, declarator: rest({ types, chain, name, limits }, false), embedded };
}

/** From `id` inwards to the type that is no pointer, array, function or qualifier. */
function chainOf(types: TypeSource, id: number): number[] {
  const chain = [id];
  while (chain.length < MAX_CHAIN) {
    const last = chain[chain.length - 1];
    const kind = types.kind(last);
    if (kind === BtfKind.ARRAY) chain.push(types.array(last)?.elementType ?? 0);
    else if (isLink(kind)) chain.push(types.referenced(last));
    else break;
  }
  return chain;
}

function isLink(kind: BtfKind): boolean {
  return (
    kind === BtfKind.PTR ||
    kind === BtfKind.FUNC_PROTO ||
    kind === BtfKind.TYPE_TAG ||
    QUALIFIERS.has(kind)
  );
}

/** Qualifiers right around the base stand before it. */
function takeQualifiers(types: TypeSource, chain: number[]): string {
  let text = "";
  for (;;) {
    const kind = types.kind(chain[chain.length - 1] ?? 0);
    const qualifier = QUALIFIERS.get(kind);
    if (qualifier === undefined && kind !== BtfKind.TYPE_TAG) return text;
    if (qualifier !== undefined) text += `${qualifier} `;
    chain.pop();
  }
}

function baseName(types: TypeSource, id: number): string {
  const name = types.name(id);
  switch (types.kind(id)) {
    case BtfKind.STRUCT:
    case BtfKind.UNION:
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
    case BtfKind.FWD:
      return `${keyword(types, id)} ${name === "" ? "{…}" : name}`;
    case BtfKind.VOID:
      return "void";
    default:
      return name;
  }
}

/** `struct`, `union` or `enum`. */
export function keyword(types: TypeSource, id: number): string {
  const kind = types.kind(id);
  if (kind === BtfKind.ENUM || kind === BtfKind.ENUM64) return "enum";
  return kind === BtfKind.UNION || (kind === BtfKind.FWD && types.kindFlag(id))
    ? "union"
    : "struct";
}

/** What is left to write; `chain` ends with what is nearest to the base type. */
type Rest = {
  readonly types: TypeSource;
  readonly chain: number[];
  readonly name: string;
  readonly limits: Limits;
};

function rest(work: Rest, afterPointer: boolean): string {
  const { types, chain, name } = work;
  let text = "";
  for (let id = chain.pop(); id !== undefined; id = chain.pop()) {
    const kind = types.kind(id);
    if (kind === BtfKind.ARRAY) return text + arrayOf(work, id, afterPointer);
    if (kind === BtfKind.FUNC_PROTO) return text + functionOf(work, id, afterPointer);
    if (kind === BtfKind.PTR) text += afterPointer ? "*" : " *";
    // Type tags (`__user`, `__rcu`) are no part of the language.
    else if (kind !== BtfKind.TYPE_TAG) text += ` ${QUALIFIERS.get(kind) ?? ""}`;
    afterPointer = kind === BtfKind.PTR;
  }
  return text + spaced(name, afterPointer);
}

function arrayOf(work: Rest, id: number, afterPointer: boolean): string {
  const { types, chain, name } = work;
  dropQualifiers(types, chain);
  const count = `[${types.array(id)?.count ?? 0}]`;
  const outer = chain[chain.length - 1];
  if (outer === undefined) return spaced(name, afterPointer) + count;
  const inner = rest(work, true);
  return spaced(types.kind(outer) === BtfKind.ARRAY ? inner : `(${inner})`, afterPointer) + count;
}

function functionOf(work: Rest, id: number, afterPointer: boolean): string {
  const { types, chain, name, limits } = work;
  dropQualifiers(types, chain);
  const parameters = `(${parameterList(types, id, limits)})`;
  if (chain.length === 0) return spaced(name, afterPointer) + parameters;
  return ` (${rest(work, true)})${parameters}`;
}

function spaced(text: string, afterPointer: boolean): string {
  return text === "" || afterPointer ? text : ` ${text}`;
}

/** Qualifiers of an array or a function are their elements', and said there. */
function dropQualifiers(types: TypeSource, chain: number[]): void {
  while (QUALIFIERS.has(types.kind(chain[chain.length - 1] ?? 0))) chain.pop();
}

function parameterList(types: TypeSource, id: number, { nesting, budget }: Limits): string {
  const all = types.params(id);
  if (all === undefined) return "";
  if (all.length === 0) return "void";
  if (nesting >= MAX_NESTING) return "…";
  const shown: string[] = [];
  for (const [i, { name, typeId }] of all.entries()) {
    if (budget.parameters-- <= 0) return [...shown, "…"].join(", ");
    const last = typeId === 0 && i === all.length - 1;
    if (last) shown.push(all.length === 1 ? "void" : "...");
    else shown.push(declareWithin(types, typeId, name, { nesting: nesting + 1, budget }));
  }
  return shown.join(", ");
}
