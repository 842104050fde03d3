import { branchesInUse, knownNames } from "./qmp-commands-in-use.ts";

type Member = { name: string; type: string; default?: null };

/** One entity of query-qmp-schema (QEMU's qapi/introspect.json); type names are opaque numbers there. */
export type SchemaEntity = { name: string } & (
  | { "meta-type": "builtin"; "json-type": string }
  | { "meta-type": "enum"; values: string[] }
  | { "meta-type": "array"; "element-type": string }
  | {
      "meta-type": "object";
      members: Member[];
      tag?: string;
      variants?: { case: string; type: string }[];
    }
  | { "meta-type": "alternate"; members: { type: string }[] }
  | { "meta-type": "command"; "arg-type": string; "ret-type": string; features?: string[] }
  | { "meta-type": "event"; "arg-type": string }
);

type ObjectEntity = Extract<SchemaEntity, { "meta-type": "object" }>;

const builtins: Readonly<Record<string, string>> = {
  str: "string",
  int: "Integer",
  number: "number",
  bool: "boolean",
  null: "null",
  any: "unknown",
};

/** Commands that take more than their schema says: the properties of the device. */
const openArguments = new Set(["device_add"]);

/** Members whose values do not fit a double: a negative int64 stands for an address of 2^63 and more. */
const wideMembers = new Set(["memsave.arguments.val"]);

/** Turns schema entities into TypeScript, naming each type after the place where it is met first. */
export class TypeWriter {
  readonly #entities: Map<string, SchemaEntity>;
  readonly #names = new Map<string, string>();
  readonly #taken = new Set<string>();
  readonly #declarations: string[] = [];

  constructor(schema: readonly SchemaEntity[]) {
    this.#entities = new Map(schema.map((entity) => [entity.name, entity]));
  }

  /** The whole generated module, without its heading. */
  module(commands: readonly string[], events: readonly string[]): string {
    const commandLines = commands.map((name) => this.#command(name));
    const eventLines = events.map((name) => this.#event(name));
    return [
      "/** A whole number. */",
      "export type Integer = number;",
      "",
      "export type NoMembers = Record<never, never>;",
      "",
      ...this.#declarations,
      `/** Each command's arguments and what it returns. */`,
      `export type QmpCommands = {`,
      ...commandLines,
      `};`,
      "",
      `/** Each event's data. */`,
      `export type QmpEvents = {`,
      ...eventLines,
      `};`,
      "",
    ].join("\n");
  }

  #command(name: string): string {
    const entity = this.#entity(name);
    if (entity["meta-type"] !== "command") throw new Error(`${name} is not a command`);
    const given = this.#type(entity["arg-type"], `${name}.arguments`);
    const open = openArguments.has(name) ? " & Record<string, unknown>" : "";
    const returned = this.#type(entity["ret-type"], `${name}.return`);
    return `  ${JSON.stringify(name)}: { arguments: ${given}${open}; returns: ${returned} };`;
  }

  #event(name: string): string {
    const entity = this.#entity(name);
    if (entity["meta-type"] !== "event") throw new Error(`${name} is not an event`);
    return `  ${name}: ${this.#type(entity["arg-type"], `${name}.data`)};`;
  }

  #entity(name: string): SchemaEntity {
    const entity = this.#entities.get(name);
    if (entity === undefined) throw new Error(`this QEMU has no ${name}`);
    return entity;
  }

  #type(name: string, path: string): string {
    const entity = this.#entity(name);
    switch (entity["meta-type"]) {
      case "builtin":
        return wideMembers.has(path) ? "number | bigint" : (builtins[name] ?? "unknown");
      case "array":
        return `readonly (${this.#type(entity["element-type"], `${path}[]`)})[]`;
      case "alternate":
        return entity.members.map((member) => this.#type(member.type, path)).join(" | ");
      case "enum":
        return this.#named(name, path, entity.values.length <= 4, () =>
          entity.values.map((value) => JSON.stringify(value)).join(" | "),
        );
      case "object":
        if (entity.members.length === 0 && entity.variants === undefined) return "NoMembers";
        return this.#named(name, path, false, (own) => this.#object(entity, own));
      default:
        throw new Error(`${name} is no type`);
    }
  }

  /** Declares a type once; `inline` ones are written where they are used. */
  #named(name: string, path: string, inline: boolean, body: (own: string) => string): string {
    if (inline && knownNames[path] === undefined) return body(path);
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const own = this.#freshName(knownNames[path] ?? pascalCase(path));
    this.#names.set(name, own);
    const text = body(path);
    this.#declarations.push(`export type ${own} = ${text};`, "");
    return own;
  }

  #object(entity: ObjectEntity, path: string): string {
    const { tag, variants } = entity;
    const members = entity.members
      .filter((member) => member.name !== tag)
      .map((member) => {
        const optional = "default" in member ? "?" : "";
        const type = this.#type(member.type, `${path}.${member.name}`);
        return `${JSON.stringify(member.name)}${optional}: ${type}`;
      });
    const base = `{ ${members.join("; ")} }`;
    if (tag === undefined || variants === undefined) return base;
    const branches = variants
      .filter((variant) => branchesInUse.has(variant.case))
      .map((variant) => {
        const own = `{ ${JSON.stringify(tag)}: ${JSON.stringify(variant.case)} }`;
        const type = this.#type(variant.type, `${path}.${variant.case}`);
        return type === "NoMembers" ? own : `(${own} & ${type})`;
      });
    if (branches.length === 0) return `${base} & { ${JSON.stringify(tag)}: string }`;
    const union = branches.join(" | ");
    return members.length === 0 ? union : `${base} & (${union})`;
  }

  #freshName(wanted: string): string {
    let name = wanted;
    for (let n = 2; this.#taken.has(name); n++) name = `${wanted}${n}`;
    this.#taken.add(name);
    return name;
  }
}

function pascalCase(path: string): string {
  return path
    .replaceAll("[]", "-item")
    .split(/[^A-Za-z0-9]+/)
    .map((word) => (word === word.toUpperCase() ? word.toLowerCase() : word))
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
}
