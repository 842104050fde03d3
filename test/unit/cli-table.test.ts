import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { colours } from "../../src/cli/colour.ts";
import { tableLines } from "../../src/cli/table.ts";
import type { Column } from "../../src/cli/table.ts";
import { displayWidth } from "../../src/cli/text.ts";

type Row = { pid: number; comm: string | undefined };
const columns: readonly Column<Row>[] = [
  { title: "PID", value: (row) => row.pid, align: "right" },
  {
    title: "COMM",
    value: (row) => row.comm,
    shrink: 6,
    paint: (text, row, paint) => (row.pid === 1 ? paint.green(text) : text),
  },
];
const rows: readonly Row[] = [
  { pid: 1, comm: "systemd" },
  { pid: 1234, comm: "a-rather-long-command-name" },
];

test("columns are aligned, without trailing spaces", () => {
  assert.deepEqual(tableLines(columns, rows), [
    " PID  COMM",
    "   1  systemd",
    "1234  a-rather-long-command-name",
  ]);
});

test("a narrow terminal cuts the shrinkable column only, and never below its least", () => {
  assert.deepEqual(tableLines(columns, rows, { width: 15 }), [
    " PID  COMM",
    "   1  systemd",
    "1234  a-rather…",
  ]);
  assert.deepEqual(tableLines(columns, rows, { width: 3 }), [
    " PID  COMM",
    "   1  syste…",
    "1234  a-rat…",
  ]);
});

test("unknown is a dash, a fault a question mark, guest text is escaped", () => {
  const lines = tableLines(
    columns,
    [
      { pid: Number.NaN, comm: undefined },
      { pid: 2, comm: "x\x1b[2J\n" },
    ],
    { headless: true },
  );
  assert.deepEqual(lines, ["?  -", "2  x\\x1b[2J\\n"]);
});

test("painting changes no width", () => {
  const painted = tableLines(columns, rows, { colours: colours({ isTTY: true }, {}) });
  assert.equal(painted[1], "   1  \x1b[32msystemd\x1b[39m");
  const plain = painted.map((line) => stripVTControlCharacters(line).trimEnd());
  assert.deepEqual(plain, tableLines(columns, rows));
});

test("wide characters keep the columns straight", () => {
  const names: Column<{ a: string; b: string }>[] = [
    { title: "A", value: (row) => row.a },
    { title: "B", value: (row) => row.b },
  ];
  const lines = tableLines(names, [
    { a: "日本", b: "x" },
    { a: "abcd", b: "x" },
  ]);
  assert.deepEqual(
    lines.slice(1).map((line) => displayWidth(line)),
    [7, 7],
  );
});
