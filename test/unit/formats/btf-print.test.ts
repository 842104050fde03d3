import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BtfKind, parseBtf } from "../../../src/formats/btf.ts";
import type { Btf } from "../../../src/formats/btf.ts";
import { dumpTypes } from "../../fixtures/btf-dump.ts";
import { printType } from "../../../src/formats/btf-print.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";

function parsed(w: BtfWriter): Btf {
  const result = parseBtf(w.bytes());
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.btf;
}

/** Numbers of the common types in `base()`. */
const VOID = 0;
const INT = 1;
const CHAR = 2;
const U64 = 3;
const LIST = 5;

function base(): BtfWriter {
  const w = new BtfWriter();
  w.int("int", 4, 1);
  w.int("char", 1);
  w.int("unsigned long", 8);
  w.pointer(LIST);
  w.struct("list_head", 16, [
    ["next", 4, 0],
    ["prev", 4, 64],
  ]);
  return w;
}

/** How a member of that type, called `x`, is printed. */
function declared(make: (w: BtfWriter) => number): string {
  const w = base();
  const holder = w.struct("holder", 8, [["x", make(w), 0]]);
  const text = printType(parsed(w), holder);
  return /^struct holder \{\n\t(.*);\n\}/s.exec(text)?.[1] ?? text;
}

describe("types as C", () => {
  test("declarations", () => {
    const cases: [string, (w: BtfWriter) => number][] = [
      ["int x", () => INT],
      ["struct list_head *x", () => 4],
      ["void **x", (w) => w.pointer(w.pointer(VOID))],
      ["const char *x", (w) => w.pointer(w.type(BtfKind.CONST, "", CHAR))],
      ["char * const x", (w) => w.type(BtfKind.CONST, "", w.pointer(CHAR))],
      ["volatile int x", (w) => w.type(BtfKind.VOLATILE, "", INT)],
      ["char x[16]", (w) => w.array(CHAR, 16)],
      ["char x[2][3]", (w) => w.array(w.array(CHAR, 3), 2)],
      ["char *x[4]", (w) => w.array(w.pointer(CHAR), 4)],
      ["char (*x)[4]", (w) => w.pointer(w.array(CHAR, 4))],
      ["int (*x)(void)", (w) => w.pointer(w.prototype(INT, []))],
      ["void (*x)(const char *, ...)", (w) => w.pointer(variadic(w))],
      [
        "int (*x[3])(struct list_head *)",
        (w) => w.array(w.pointer(w.prototype(INT, [["", 4]])), 3),
      ],
      ["char * (*x)(int a)", (w) => w.pointer(w.prototype(w.pointer(CHAR), [["a", INT]]))],
      ["union later *x", (w) => w.pointer(w.type(BtfKind.FWD, "later", 0, [], { flag: true }))],
      ["pid_t x", (w) => w.type(BtfKind.TYPEDEF, "pid_t", INT)],
      ["char *x", (w) => w.pointer(w.type(BtfKind.TYPE_TAG, "user", CHAR))],
      ["int *x", (w) => w.pointer(w.type(BtfKind.TYPE_TAG, "rcu", INT))],
    ];
    for (const [text, make] of cases) assert.equal(declared(make), text);
  });

  test("anonymous structs and unions are shown in place", () => {
    const text = declared((w) => {
      const inner = w.struct("", 8, [["a", INT, 0]]);
      return w.pointer(w.union("", 8, [["", inner, 0]]));
    });
    assert.equal(text, "union {\n\t\tstruct {\n\t\t\tint a;\n\t\t};\n\t} *x");
  });

  test("offsets, bit-fields, holes and padding", () => {
    const w = base();
    const id = w.struct("task", 56, [
      ["flag", CHAR, 0, 1],
      ["width", CHAR, 1, 3],
      ["pid", INT, 32, 0],
      ["list", LIST, 128, 0],
      ["seq", U64, 320, 0],
    ]);
    const text = printType(parsed(w), id, { offsets: true });
    assert.equal(
      text.replaceAll(/ {2,}\/\*/g, "  /*"),
      `struct task {
	char flag: 1;  /*     0: 0  1 */
	char width: 3;  /*     0: 1  1 */
	/* XXX 28 bits hole */
	int pid;  /*     4     4 */
	/* XXX 8 bytes hole */
	struct list_head list;  /*    16    16 */
	/* XXX 8 bytes hole */
	unsigned long seq;  /*    40     8 */
	/* XXX 8 bytes padding */

	/* size: 56, cachelines: 1, members: 5 */
};
`,
    );
  });

  test("named structs are shown in place down to the asked depth", () => {
    const w = base();
    const middle = w.struct("middle", 16, [["list", LIST, 0]]);
    const alias = w.type(BtfKind.TYPEDEF, "middle_t", middle);
    const outer = w.struct("outer", 24, [
      ["m", alias, 0],
      ["next", w.pointer(LIST), 128],
    ]);
    const btf = parsed(w);
    assert.match(printType(btf, outer), /\tmiddle_t m;\n/);
    const one = printType(btf, outer, { depth: 1 });
    assert.match(one, /\tstruct middle \{\n\t\tstruct list_head list;\n\t\} m;\n/);
    assert.match(one, /\tstruct list_head \*next;\n/);
    const two = printType(btf, outer, { depth: 2, offsets: true });
    assert.match(two, /\t\tstruct list_head \{\n\t\t\tstruct list_head \*next; +\/\* +0 +8 \*\//);
  });

  test("packed structs, empty ones, enums, typedefs, functions, variables", () => {
    const w = base();
    const ids = [
      w.struct("packed", 5, [
        ["a", CHAR, 0],
        ["b", INT, 8],
      ]),
      w.struct("empty", 0, []),
      w.enum("state", { RUNNING: 0, DEAD: -1 }, true),
      w.enum64("wide", { MANY: 1n << 63n }),
      w.enum64("signed_wide", { LESS: -2n }, true),
      w.type(BtfKind.TYPEDEF, "list_t", LIST),
      w.type(BtfKind.TYPEDEF, "atomic_t", w.struct("", 4, [["counter", INT, 0]])),
      w.type(BtfKind.TYPEDEF, "handler_t", w.pointer(w.prototype(VOID, [["irq", INT]]))),
      w.type(BtfKind.FUNC, "schedule", w.prototype(VOID, [])),
      w.type(BtfKind.VAR, "current_list", LIST, [1]),
    ];
    const btf = parsed(w);
    const texts = ids.map((id) => printType(btf, id).trimEnd());
    assert.deepEqual(texts, [
      "struct packed {\n\tchar a;\n\tint b;\n} __attribute__((packed));",
      "struct empty {};",
      "enum state {\n\tRUNNING = 0,\n\tDEAD = -1,\n};",
      "enum wide {\n\tMANY = 9223372036854775808ULL,\n};",
      "enum signed_wide {\n\tLESS = -2LL,\n};",
      "typedef struct list_head list_t;",
      "typedef struct {\n\tint counter;\n} atomic_t;",
      "typedef void (*handler_t)(int irq);",
      "void schedule(void);",
      "struct list_head current_list;",
    ]);
    assert.equal(printType(btf, INT), "int;\n");
    assert.equal(printType(btf, 0), "void;\n");
    assert.equal(printType(btf, 9999), "void;\n");
  });

  test("forged types end", () => {
    const deep = base();
    for (let i = 0; i < 20_000; i++) deep.struct("deep", 8, [["next", deep.typeCount + 1, 0]]);
    const deepBtf = parsed(deep);
    assert.match(printType(deepBtf, 6, { offsets: true }), /struct deep next;/);
    assert.match(printType(deepBtf, 6, { depth: 1000 }), /struct deep next;/);
    const w = base();
    const self = w.typeCount;
    const nested: [string, number, number][] = Array.from({ length: 40 }, () => ["", self, 0]);
    w.struct("", 8, nested);
    const loop = w.type(BtfKind.PTR, "", w.typeCount);
    const prototype = w.typeCount;
    w.prototype(prototype, [
      ["a", prototype],
      ["b", prototype],
    ]);
    const btf = parsed(w);
    assert.ok(printType(btf, self, { offsets: true }).length < 10_000_000);
    assert.ok(printType(btf, loop).length > 0);
    assert.ok(printType(btf, prototype).length < 1_000_000);
  });
});

function variadic(w: BtfWriter): number {
  const text = w.pointer(w.type(BtfKind.CONST, "", CHAR));
  return w.prototype(VOID, [
    ["", text],
    ["", VOID],
  ]);
}

test("types listed as bpftool lists them", () => {
  const w = base();
  const section = w.type(BtfKind.VAR, "runqueues", LIST, [1]);
  w.type(BtfKind.DATASEC, ".data..percpu", 64, [section, 8, 16], { vlen: 1 });
  w.array(CHAR, 16, INT);
  w.struct("bits", 4, [["flag", INT, 3, 1]]);
  w.enum("state", { RUNNING: 0, DEAD: -1 }, true);
  w.enum64("wide", { MANY: 1n << 63n });
  const prototype = w.prototype(VOID, [
    ["irq", INT],
    ["", VOID],
  ]);
  w.type(BtfKind.FUNC, "handle", prototype, [], { vlen: 1 });
  w.type(BtfKind.FWD, "later", 0, [], { flag: true });
  w.type(BtfKind.DECL_TAG, "user", LIST, [0xffffffff]);
  w.type(BtfKind.TYPE_TAG, "rcu", LIST);
  w.type(BtfKind.FLOAT, "double", 8);
  w.int("_Bool", 1, 4);
  assert.deepEqual(
    [...dumpTypes(parsed(w))].join("\n"),
    `[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[3] INT 'unsigned long' size=8 bits_offset=0 nr_bits=64 encoding=(none)
[4] PTR '(anon)' type_id=5
[5] STRUCT 'list_head' size=16 vlen=2
	'next' type_id=4 bits_offset=0
	'prev' type_id=4 bits_offset=64
[6] VAR 'runqueues' type_id=5, linkage=global
[7] DATASEC '.data..percpu' size=64 vlen=1
	type_id=6 offset=8 size=16 (VAR 'runqueues')
[8] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=16
[9] STRUCT 'bits' size=4 vlen=1
	'flag' type_id=1 bits_offset=3 bitfield_size=1
[10] ENUM 'state' encoding=SIGNED size=4 vlen=2
	'RUNNING' val=0
	'DEAD' val=-1
[11] ENUM64 'wide' encoding=UNSIGNED size=8 vlen=1
	'MANY' val=9223372036854775808ULL
[12] FUNC_PROTO '(anon)' ret_type_id=0 vlen=2
	'irq' type_id=1
	'(anon)' type_id=0
[13] FUNC 'handle' type_id=12 linkage=global
[14] FWD 'later' fwd_kind=union
[15] DECL_TAG 'user' type_id=5 component_idx=-1
[16] TYPE_TAG 'rcu' type_id=5
[17] FLOAT 'double' size=8
[18] INT '_Bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL`,
  );
});
