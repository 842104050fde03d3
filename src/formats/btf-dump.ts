import { BtfKind } from "./type-source.ts";
import type { Btf } from "./btf.ts";

const KIND_NAMES =
  `UNKNOWN INT PTR ARRAY STRUCT UNION ENUM FWD TYPEDEF VOLATILE CONST RESTRICT FUNC FUNC_PROTO
  VAR DATASEC FLOAT DECL_TAG TYPE_TAG ENUM64`.split(/\s+/);
const LINKAGES = ["static", "global", "extern"];

/** One type as `bpftool btf dump file FILE` lists it, its members on lines of their own. */
export function dumpType(btf: Btf, id: number): string {
  const kind = KIND_NAMES[btf.kind(id)] ?? "UNKNOWN";
  return [`[${id}] ${kind} ${quoted(btf.name(id))}${details(btf, id)}`, ...elements(btf, id)].join(
    "\n\t",
  );
}

function quoted(name: string): string {
  return `'${name === "" ? "(anon)" : name}'`;
}

function details(btf: Btf, id: number): string {
  switch (btf.kind(id)) {
    case BtfKind.INT:
      return intDetails(btf, id);
    case BtfKind.PTR:
    case BtfKind.TYPEDEF:
    case BtfKind.VOLATILE:
    case BtfKind.CONST:
    case BtfKind.RESTRICT:
    case BtfKind.TYPE_TAG:
      return ` type_id=${btf.referenced(id)}`;
    case BtfKind.ARRAY: {
      const { elementType, count } = btf.array(id) ?? { elementType: 0, count: 0 };
      return ` type_id=${elementType} index_type_id=${btf.arrayIndexType(id)} nr_elems=${count}`;
    }
    case BtfKind.STRUCT:
    case BtfKind.UNION:
    case BtfKind.DATASEC:
      return ` size=${btf.size(id)} vlen=${btf.vlen(id)}`;
    case BtfKind.ENUM:
    case BtfKind.ENUM64: {
      const encoding = btf.kindFlag(id) ? "SIGNED" : "UNSIGNED";
      return ` encoding=${encoding} size=${btf.size(id)} vlen=${btf.vlen(id)}`;
    }
    case BtfKind.FWD:
      return ` fwd_kind=${btf.kindFlag(id) ? "union" : "struct"}`;
    case BtfKind.FUNC:
      return ` type_id=${btf.referenced(id)} linkage=${LINKAGES[btf.vlen(id)] ?? "(unknown)"}`;
    case BtfKind.FUNC_PROTO:
      return ` ret_type_id=${btf.referenced(id)} vlen=${btf.vlen(id)}`;
    case BtfKind.VAR: {
      const linkage = LINKAGES[btf.variable(id)?.linkage ?? -1] ?? "(unknown)";
      return ` type_id=${btf.referenced(id)}, linkage=${linkage}`;
    }
    case BtfKind.FLOAT:
      return ` size=${btf.size(id)}`;
    case BtfKind.DECL_TAG:
      return ` type_id=${btf.referenced(id)} component_idx=${btf.componentIndex(id)}`;
    default:
      return "";
  }
}

function intDetails(btf: Btf, id: number): string {
  const int = btf.int(id);
  if (int === undefined) return "";
  const set = [int.signed && "SIGNED", int.char && "CHAR", int.bool && "BOOL"].filter(
    (word) => word !== false,
  );
  const encoding = set.length > 1 ? "UNKN" : (set[0] ?? "(none)");
  return ` size=${btf.size(id)} bits_offset=${int.bitOffset} nr_bits=${int.bits} encoding=${encoding}`;
}

function elements(btf: Btf, id: number): string[] {
  switch (btf.kind(id)) {
    case BtfKind.STRUCT:
    case BtfKind.UNION:
      return btf.members(id).map(({ name, typeId, bitOffset, bitSize }) => {
        const width = bitSize === 0 ? "" : ` bitfield_size=${bitSize}`;
        return `${quoted(name)} type_id=${typeId} bits_offset=${bitOffset}${width}`;
      });
    case BtfKind.ENUM:
      return btf.enumerators(id).map(({ name, value }) => `${quoted(name)} val=${value}`);
    case BtfKind.ENUM64: {
      const suffix = btf.kindFlag(id) ? "LL" : "ULL";
      return btf.enumerators(id).map(({ name, value }) => `${quoted(name)} val=${value}${suffix}`);
    }
    case BtfKind.FUNC_PROTO:
      return btf.params(id).map(({ name, typeId }) => `${quoted(name)} type_id=${typeId}`);
    case BtfKind.DATASEC:
      return btf.sectionVars(id).map(({ typeId, offset, size }) => {
        const variable = btf.kind(typeId) === BtfKind.VAR ? ` (VAR '${btf.name(typeId)}')` : "";
        return `type_id=${typeId} offset=${offset} size=${size}${variable}`;
      });
    default:
      return [];
  }
}
