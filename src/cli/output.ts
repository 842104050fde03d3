import { once } from "node:events";
import { hex } from "../base/hex.ts";
import { colours } from "./colour.ts";
import type { Colours } from "./colour.ts";
import type { CommandIo } from "./command.ts";
import { tableLines } from "./table.ts";
import type { Column } from "./table.ts";
import type { Schema } from "../views/view.ts";

export type { Schema } from "../views/view.ts";

type Stream = NodeJS.WritableStream & { readonly writableLength?: number };

/** Writes and waits while the reader is slower, so that a long answer is not piled up in memory. */
export async function write(stream: Stream, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, "drain");
}

/**
 * One JSON document with its schema's name first; indented on a terminal, one line elsewhere.
 * Times (Date) become ISO 8601 in UTC, bigint addresses `"0xffff…"`, a fault (NaN) null.
 */
export async function writeDocument(io: CommandIo, schema: Schema, fields: object): Promise<void> {
  const indent = io.stdout.isTTY === true ? 2 : undefined;
  await write(io.stdout, `${JSON.stringify({ schema, ...fields }, replaceValue, indent)}\n`);
}

/** One JSON object on a line of its own, for commands that follow. */
export async function writeJsonLine(io: CommandIo, schema: Schema, fields: object): Promise<void> {
  await write(io.stdout, `${JSON.stringify({ schema, ...fields }, replaceValue)}\n`);
}

/** JSON.stringify has no form for bigint; NaN it makes null by itself, Date ISO 8601. */
function replaceValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? hex(value) : value;
}

/** A table on standard output, as wide as the terminal. */
export async function writeTable<Row>(
  io: CommandIo,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): Promise<void> {
  await write(io.stdout, `${renderTable(io, columns, rows).join("\n")}\n`);
}

/** The lines of a table for that output: fitted to the terminal, uncut and unpainted elsewhere. */
export function renderTable<Row>(
  io: CommandIo,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string[] {
  return tableLines(columns, rows, { width: terminalWidth(io), colours: outputColours(io) });
}

/** Cells of the terminal that standard output is, or undefined where it is none. */
export function terminalWidth(io: CommandIo): number | undefined {
  // A terminal that does not know its size says 0.
  return io.stdout.isTTY === true ? io.stdout.columns || 80 : undefined;
}

/** Colours for standard output. */
export function outputColours(io: CommandIo): Colours {
  return colours(io.stdout);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Bytes for people: `512 MiB`, `1.5 GiB`; JSON has the plain number. */
export function sizeText(bytes: number): string {
  if (!Number.isFinite(bytes)) return "?";
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 1024 ** step;
  return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)} ${UNITS[step]}`;
}

/** Time for people: `430 µs`, `12 ms`, `1.4 s`, `2 min 5 s`. */
export function durationText(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return "?";
  if (milliseconds < 1) return `${Math.round(milliseconds * 1000)} µs`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** A moment for people: `2026-11-21 21:15:42`, in UTC. */
export function timeText(time: Date | undefined): string | undefined {
  return time?.toISOString().slice(0, 19).replace("T", " ");
}

/** An address or offset for people: hexadecimal without a prefix, as in /proc/PID/maps. */
export function addressText(address: number): string {
  return hex(address).replace("0x", "");
}
