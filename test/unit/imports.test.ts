import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "../..");

// The rooms of src/, lowest first; docs/design.md draws the same picture. A room may use every
// room of the lines above its own, less what `never` takes away.
const floors: readonly (readonly string[])[] = [
  ["base"],
  ["native", "formats"],
  ["memory"],
  ["qmp", "arch"],
  ["vm", "linux"],
  ["views"],
  ["events"],
  ["response", "policy", "checks", "files", "baseline", "scan", "evidence", "channel", "trap"],
  ["store"],
  ["daemon"],
  ["cli", "api", "library"],
];

const never: Readonly<Record<string, readonly string[]>> = {
  // Only bytes, so that they can be fuzzed.
  formats: ["native"],
  // It takes a memory reader, so that dumps and fakes work.
  linux: ["qmp", "native"],
  // Only what is told.
  events: floors.slice(1, 6).flat(),
};

/** Rooms of one floor that may be used from another of the same floor. */
const sideways: Readonly<Record<string, readonly string[]>> = {
  // Attaching to a process or a dump ends in a kernel that is understood.
  vm: ["linux"],
  response: ["evidence", "policy"],
  // What changed since it was made is told as checks tell what they find.
  baseline: ["checks", "files"],
};

/** Only these rooms may use the package. */
const packageRooms: Readonly<Record<string, readonly string[]>> = { koffi: ["native"] };

function mayUse(room: string): ReadonlySet<string> {
  const floor = floors.findIndex((rooms) => rooms.includes(room));
  const below = new Set([...floors.slice(0, floor).flat(), room, ...(sideways[room] ?? [])]);
  for (const other of never[room] ?? []) below.delete(other);
  return below;
}

/** What a file imports: static, dynamic, for types, and files named through new URL(…, import.meta.url). */
function importsOf(text: string): string[] {
  const patterns = [
    /^\s*(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"/gm,
    /^\s*import\s*"([^"]+)"/gm,
    /\bimport\(\s*"([^"]+)"/g,
    /\bnew URL\(\s*"([^"]+\.ts)",\s*import\.meta\.url/g,
  ];
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!));
}

const declared = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
};

/** What is wrong with the imports of a file under src/, as sentences. */
function faults(path: string, text: string): string[] {
  const parts = path.split("/");
  const room = parts.length > 2 ? parts[1]! : undefined;
  if (room !== undefined && !floors.flat().includes(room)) {
    return [
      `${path}: src/${room} is not a room: give it a floor in this test and in docs/design.md`,
    ];
  }
  return importsOf(text).flatMap((name) => fault(path, room, name) ?? []);
}

function fault(path: string, room: string | undefined, name: string): string | undefined {
  if (name.startsWith("node:")) return undefined;
  if (!name.startsWith(".")) return packageFault(path, room, name);
  const target = relative(root, resolve(root, dirname(path), name));
  if (target === "package.json") return undefined;
  if (!target.startsWith("src/")) return `${path}: ${name} leads out of src/`;
  if (!/\.(ts|json)$/.test(name)) return `${path}: ${name} lacks its ending`;
  // Files beside the rooms put the library together: they may use all but the command line.
  const other = target.split("/").length > 2 ? target.split("/")[1]! : "src";
  if (room === undefined) return other === "cli" ? `${path} must not use cli` : undefined;
  return mayUse(room).has(other) ? undefined : `${path}: ${room} must not use ${other}`;
}

function packageFault(path: string, room: string | undefined, name: string): string | undefined {
  const segments = name.split("/");
  const packageName = name.startsWith("@") ? segments.slice(0, 2).join("/") : segments[0]!;
  if (builtinModules.includes(packageName)) return `${path}: ${name} is written node:${name}`;
  if (declared.dependencies[packageName] === undefined) return `${path}: ${name} is no dependency`;
  const rooms = packageRooms[packageName];
  if (rooms === undefined || rooms.includes(room ?? "")) return undefined;
  return `${path}: only ${rooms.join(", ")} may use ${packageName}`;
}

function sources(): string[] {
  return readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `src/${name}`);
}

test("imports of src/ go downwards only", () => {
  const found = sources().flatMap((path) => faults(path, readFileSync(join(root, path), "utf8")));
  assert.deepEqual(found, []);
});

test("a wrong import is caught, whatever its form", () => {
  const planted: readonly (readonly [string, string, string | undefined])[] = [
    [
      "src/linux/task.ts",
      'import { connect } from "../qmp/connection.ts";',
      "linux must not use qmp",
    ],
    [
      "src/linux/task.ts",
      'import type { Socket } from "../qmp/types.ts";',
      "linux must not use qmp",
    ],
    [
      "src/linux/task.ts",
      'import {\n  a,\n  b,\n} from "../vm/launch.ts";',
      "linux must not use vm",
    ],
    ["src/checks/text.ts", 'const { freeze } = await import("../response/freeze.ts");', "response"],
    ["src/checks/text.ts", 'export { freeze } from "../response/freeze.ts";', "response"],
    ["src/vm/scan.ts", 'new Worker(new URL("../daemon/worker.ts", import.meta.url));', "daemon"],
    ["src/formats/elf.ts", 'import { mapFile } from "../native/mmap.ts";', "native"],
    ["src/events/sink.ts", 'import { attach } from "../vm/attach.ts";', "vm"],
    ["src/memory/file.ts", 'import koffi from "koffi";', "only native may use koffi"],
    ["src/memory/file.ts", 'import "left-pad";', "no dependency"],
    ["src/memory/file.ts", 'import fs from "fs";', "node:fs"],
    ["src/memory/file.ts", 'import { x } from "./other";', "ending"],
    ["src/cellar/file.ts", "", "not a room"],
    ["src/index.ts", 'export { run } from "./cli/run.ts";', "must not use cli"],
    ["src/index.ts", 'export { mapFile } from "./memory/file.ts";', undefined],
    ["src/checks/text.ts", 'import { emit } from "../events/sink.ts";', undefined],
    ["src/memory/dump.ts", 'import { parseElf } from "../formats/elf.ts";', undefined],
    ["src/native/mmap.ts", 'import koffi from "koffi";', undefined],
  ];
  for (const [path, text, expected] of planted) {
    const found = faults(path, text);
    assert.equal(found.length, expected === undefined ? 0 : 1, `${path}: ${text}`);
    if (expected !== undefined) assert.match(found[0]!, new RegExp(expected));
  }
});
