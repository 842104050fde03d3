/** A section of LVM's text form: names with values, lists and sections in them (lvm.conf(5)). */
export type ConfigSection = ReadonlyMap<string, ConfigValue>;
export type ConfigValue = string | number | readonly (string | number)[] | ConfigSection;

const MAX_DEPTH = 8;
const MAX_TOKENS = 1_000_000;
/** A string, a word, a number or a sign; comments and blanks are between. */
const TOKEN =
  /\s+|#[^\n]*|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?![\w.-]))|([\w.+-]+)|([=[\]{},])/gsy;

type Token =
  | { readonly kind: "value"; readonly value: string | number }
  | { readonly kind: "word"; readonly value: string }
  | { readonly kind: "sign"; readonly value: string };

/** Reads a text; undefined where it is damaged. */
export function parseConfigText(text: string): ConfigSection | undefined {
  const tokens = tokensOf(text);
  if (tokens === undefined) return undefined;
  const reader = new Reader(tokens);
  const section = reader.section(0);
  return section !== undefined && reader.atEnd ? section : undefined;
}

function tokensOf(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    end = match.index + match[0].length;
    const [, quoted, number, word, sign] = match;
    if (quoted !== undefined) {
      tokens.push({ kind: "value", value: quoted.slice(1, -1).replaceAll(/\\(.)/gs, "$1") });
    } else if (number !== undefined) tokens.push({ kind: "value", value: Number(number) });
    else if (word !== undefined) tokens.push({ kind: "word", value: word });
    else if (sign !== undefined) tokens.push({ kind: "sign", value: sign });
    if (tokens.length > MAX_TOKENS) return undefined;
  }
  return end === text.length ? tokens : undefined;
}

class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get atEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  /** `name = value` and `name { … }`, up to a bracket that closes, or the end. */
  section(depth: number): ConfigSection | undefined {
    const found = new Map<string, ConfigValue>();
    while (!this.atEnd && !this.#isSign("}")) {
      const name = this.#tokens[this.#at++];
      if (name.kind === "sign") return undefined;
      const value = this.#takeSign("{") ? this.#nested(depth + 1) : this.#assigned();
      if (value === undefined) return undefined;
      found.set(String(name.value), value);
    }
    return found;
  }

  #nested(depth: number): ConfigSection | undefined {
    const section = depth <= MAX_DEPTH ? this.section(depth) : undefined;
    return this.#takeSign("}") ? section : undefined;
  }

  #assigned(): ConfigValue | undefined {
    if (!this.#takeSign("=")) return undefined;
    if (!this.#takeSign("[")) return this.#value();
    const list: (string | number)[] = [];
    while (!this.#takeSign("]")) {
      const value = this.#value();
      if (value === undefined) return undefined;
      list.push(value);
      if (!this.#takeSign(",") && !this.#isSign("]")) return undefined;
    }
    return list;
  }

  #value(): string | number | undefined {
    const token = this.#tokens[this.#at++];
    return token?.kind === "value" ? token.value : undefined;
  }

  #isSign(sign: string): boolean {
    const token = this.#tokens[this.#at];
    return token?.kind === "sign" && token.value === sign;
  }

  #takeSign(sign: string): boolean {
    const isIt = this.#isSign(sign);
    if (isIt) this.#at++;
    return isIt;
  }
}
