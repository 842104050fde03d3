import { KvmsecError } from "../base/errors.ts";
import { BtfKind, memberPath } from "../formats/btf.ts";
import type { MemberPath, TypeSource } from "../formats/btf.ts";

/** Looks up the kernel's structures by name, and remembers the answers. */
export class Types {
  readonly source: TypeSource;
  readonly #structs = new Map<string, number>();
  readonly #members = new Map<string, MemberPath | undefined>();

  constructor(source: TypeSource) {
    this.source = source;
  }

  /** Id of a struct, union or typedef of one; 0 where the kernel has none of that name. */
  struct(name: string): number {
    let id = this.#structs.get(name);
    if (id === undefined) {
      id = this.#find(name);
      this.#structs.set(name, id);
    }
    return id;
  }

  /** Where a member lies, or undefined. `path` may go through members: `"signal.thread_head"`. */
  member(struct: string, path: string): MemberPath | undefined {
    const key = `${struct}.${path}`;
    if (this.#members.has(key)) return this.#members.get(key);
    const id = this.struct(struct);
    const member = id === 0 ? undefined : memberPath(this.source, id, path);
    this.#members.set(key, member);
    return member;
  }

  has(struct: string, path: string): boolean {
    return this.member(struct, path) !== undefined;
  }

  /** Byte offset of a member. Throws KVMSEC_TYPE_MISSING where there is none. */
  offset(struct: string, path: string): number {
    return this.require(struct, path).offset;
  }

  /** As `member`, but throws KVMSEC_TYPE_MISSING. */
  require(struct: string, path: string): MemberPath {
    const member = this.member(struct, path);
    if (member === undefined) throw missing(`struct ${struct} has no member ${path}`);
    return member;
  }

  /** Size of a struct in bytes. Throws KVMSEC_TYPE_MISSING. */
  size(struct: string): number {
    const size = this.source.size(this.struct(struct));
    if (!(size > 0)) throw missing(`there is no struct ${struct}`);
    return size;
  }

  /** Number of elements of an array member; 0 where it is none. */
  length(struct: string, path: string): number {
    const member = this.member(struct, path);
    return member === undefined ? 0 : (this.source.array(member.typeId)?.count ?? 0);
  }

  /** Value of an enumerator, or undefined. */
  enumerator(enumName: string, name: string): number | undefined {
    for (const kind of [BtfKind.ENUM, BtfKind.ENUM64]) {
      const id = this.source.find(enumName, kind);
      const found = this.source.enumerators(id).find((each) => each.name === name);
      if (found !== undefined) return Number(found.value);
    }
    return undefined;
  }

  #find(name: string): number {
    for (const kind of [BtfKind.STRUCT, BtfKind.UNION]) {
      const id = this.source.find(name, kind);
      if (id !== 0) return id;
    }
    return this.source.strip(this.source.find(name, BtfKind.TYPEDEF));
  }
}

function missing(what: string): KvmsecError {
  return new KvmsecError("KVMSEC_TYPE_MISSING", `In this kernel's type information ${what}.`, {
    hint: "The kernel is newer than this view or was built without that feature; please report its release (kvmsec info).",
  });
}
