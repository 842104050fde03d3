import { declaration, declare, keyword } from "./btf-declare.ts";
import { isPacked } from "./type-alignment.ts";
import { BtfKind } from "./type-source.ts";
import type { BtfMember, TypeSource } from "./type-source.ts";

export type PrintOptions = {
  /** Adds where each member lies, holes and the size, as pahole does. */
  readonly offsets?: boolean;
  /** How many levels of named structs are shown in place, not by name. Anonymous ones always are. */
  readonly depth?: number;
};

/** A line, and what belongs into the column of offsets. */
type Line = { readonly text: string; readonly comment?: string | undefined };

/** What is declared, and where it lies: bits from the start of the outermost struct. */
type Declared = {
  readonly typeId: number;
  readonly name: string;
  readonly bits: number;
  readonly member?: BtfMember;
};

const MAX_TEXT = 4 * 1024 * 1024;
const MAX_NESTING = 16;
const CACHE_LINE = 64;
const COMMENT_COLUMN = 64;

/**
 * A type's definition in C: a struct, union or enum with its members, a typedef, function or
 * variable as declared, anything else by name. Forged types cannot make it endless: the text is
 * cut after 4 MiB.
 */
export function printType(types: TypeSource, id: number, options: PrintOptions = {}): string {
  return render(new TypePrinter(types, options).print(id));
}

class TypePrinter {
  readonly #types: TypeSource;
  readonly #offsets: boolean;
  readonly #depth: number;
  #left = MAX_TEXT;

  constructor(types: TypeSource, options: PrintOptions) {
    this.#types = types;
    this.#offsets = options.offsets ?? false;
    this.#depth = options.depth ?? 0;
  }

  print(id: number): Line[] {
    const types = this.#types;
    const name = types.name(id);
    switch (types.kind(id)) {
      case BtfKind.STRUCT:
      case BtfKind.UNION:
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return this.#definition(id, { head: "", tail: ";" }, 0, 0, 0);
      case BtfKind.TYPEDEF:
        return this.#declared({ typeId: types.referenced(id), name, bits: 0 }, "typedef ", 0, 0);
      case BtfKind.FUNC:
      case BtfKind.VAR:
        return this.#declared({ typeId: types.referenced(id), name, bits: 0 }, "", 0, 0);
      default:
        return [{ text: `${declare(types, id, "")};` }];
    }
  }

  /** One declaration; with its type's definition where that has no name or shall be shown. */
  #declared(what: Declared, prefix: string, level: number, depth: number): Line[] {
    const types = this.#types;
    const { qualifiers, base, declarator, embedded } = declaration(types, what.typeId, what.name);
    const shown = this.#shownInPlace(base, embedded, level, depth);
    const comment = this.#place(what);
    const indent = "\t".repeat(level) + prefix;
    if (shown === 0) {
      return [this.#line(`${indent}${declare(types, what.typeId, what.name)};`, comment)];
    }
    const around = { head: indent + qualifiers, tail: `${declarator};`, comment };
    const next = types.name(shown) === "" ? depth : depth + 1;
    // What a pointer leads to lies elsewhere.
    return this.#definition(shown, around, level, embedded ? what.bits : 0, next);
  }

  /** The struct, union or enum to be written out instead of the base type, or 0. */
  #shownInPlace(base: number, embedded: boolean, level: number, depth: number): number {
    const types = this.#types;
    if (level > MAX_NESTING) return 0;
    if (isAggregate(types, base) && types.name(base) === "") return base;
    if (!embedded || depth >= this.#depth || level === 0) return 0;
    const target = types.strip(base);
    return isAggregate(types, target) && !isEnum(types, target) ? target : 0;
  }

  #definition(
    id: number,
    around: { head: string; tail: string; comment?: string | undefined },
    level: number,
    bits: number,
    depth: number,
  ): Line[] {
    const types = this.#types;
    const name = types.name(id);
    const opening = `${around.head}${keyword(types, id)}${name === "" ? "" : ` ${name}`} {`;
    const body = isEnum(types, id)
      ? this.#enumerators(id, level + 1)
      : this.#members(id, level + 1, bits, depth);
    const isStruct = types.kind(id) === BtfKind.STRUCT;
    const packed = isStruct && isPacked(types, id) ? " __attribute__((packed))" : "";
    const closing = `}${packed}${around.tail}`;
    if (body.length === 0) return [this.#line(opening + closing, around.comment)];
    const last = this.#line("\t".repeat(level) + closing, around.comment);
    return [{ text: opening }, ...body, last];
  }

  #line(text: string, comment: string | undefined): Line {
    this.#left -= text.length + 1;
    return { text, comment };
  }

  #enumerators(id: number, level: number): Line[] {
    const types = this.#types;
    const wide = types.kind(id) === BtfKind.ENUM64;
    const suffix = wide ? (types.kindFlag(id) ? "LL" : "ULL") : "";
    const indent = "\t".repeat(level);
    const lines: Line[] = [];
    for (const { name, value } of types.enumerators(id)) {
      if (this.#left <= 0) return [...lines, { text: `${indent}/* … */` }];
      lines.push(this.#line(`${indent}${name} = ${value}${suffix},`, undefined));
    }
    return lines;
  }

  #members(id: number, level: number, bits: number, depth: number): Line[] {
    const types = this.#types;
    const indent = "\t".repeat(level);
    const members = types.members(id);
    const holes = this.#offsets && types.kind(id) === BtfKind.STRUCT;
    const lines: Line[] = [];
    let end = 0;
    for (const member of members) {
      if (this.#left <= 0) return [...lines, { text: `${indent}/* … */` }];
      const { typeId, bitOffset, bitSize } = member;
      if (holes && bitOffset > end)
        lines.push({ text: `${indent}${gap(bitOffset - end, "hole")}` });
      const name = bitSize === 0 ? member.name : `${member.name}: ${bitSize}`;
      const what = { typeId, name, bits: bits + bitOffset, member };
      for (const line of this.#declared(what, "", level, depth)) lines.push(line);
      end = Math.max(end, bitOffset + (bitSize || types.size(typeId) * 8 || 0));
    }
    const size = types.size(id);
    if (holes && size * 8 > end && members.length > 0) {
      lines.push({ text: `${indent}${gap(size * 8 - end, "padding")}` });
    }
    if (this.#offsets && level === 1) lines.push(...summary(size, members.length));
    return lines;
  }

  /** pahole's `offset size`, of a bit-field `offset:bit size` of the word that it lies in. */
  #place({ member, bits }: Declared): string | undefined {
    if (!this.#offsets || member === undefined) return undefined;
    const size = this.#types.size(member.typeId) || 0;
    if (member.bitSize === 0) return `/* ${pad(bits / 8, 5)} ${pad(size, 5)} */`;
    const unit = Math.max(size, 1) * 8;
    const offset = Math.floor(bits / unit) * Math.max(size, 1);
    return `/* ${pad(offset, 5)}:${pad(bits % unit, 2)} ${pad(size, 2)} */`;
  }
}

function isAggregate(types: TypeSource, id: number): boolean {
  const kind = types.kind(id);
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION || isEnum(types, id);
}

function isEnum(types: TypeSource, id: number): boolean {
  const kind = types.kind(id);
  return kind === BtfKind.ENUM || kind === BtfKind.ENUM64;
}

function gap(bits: number, what: string): string {
  return bits % 8 === 0 ? `/* XXX ${bits / 8} bytes ${what} */` : `/* XXX ${bits} bits ${what} */`;
}

function summary(size: number, members: number): Line[] {
  const lines = Math.ceil(size / CACHE_LINE);
  return [
    { text: "" },
    { text: `\t/* size: ${size}, cachelines: ${lines}, members: ${members} */` },
  ];
}

function pad(value: number, width: number): string {
  return String(value).padStart(width);
}

function render(lines: readonly Line[]): string {
  const text = lines.map(({ text, comment }) => {
    if (comment === undefined) return text;
    const tabs = /^\t*/.exec(text)?.[0].length ?? 0;
    const spaces = Math.max(1, COMMENT_COLUMN - text.length - tabs * 7);
    return text + " ".repeat(spaces) + comment;
  });
  return `${text.join("\n")}\n`;
}
