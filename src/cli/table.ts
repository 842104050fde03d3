import type { Colours } from "./colour.ts";
import { displayWidth, fit, printable } from "./text.ts";

/** One column: what its head says, what stands in it, and how it may shrink. */
export type Column<Row> = {
  readonly title: string;
  /** Its text; guest text needs no cleaning, the table escapes what a terminal would obey. */
  readonly value: (row: Row) => string | number | undefined;
  readonly align?: "left" | "right";
  /**
   * May be cut with an ellipsis where the terminal is too narrow, down to this many cells.
   * Columns without it keep their width.
   */
  readonly shrink?: number;
  /** Paints a cell after it has been fitted. */
  readonly paint?: (text: string, row: Row, colours: Colours) => string;
};

export type TableOptions = {
  /** Cells of the terminal; without it (a pipe, a file) nothing is cut. */
  readonly width?: number | undefined;
  readonly colours?: Colours;
  /** Leaves the head away. */
  readonly headless?: boolean;
};

const GAP = "  ";

/** Lines of a table, two spaces between columns, fitted to the terminal. No trailing spaces. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions = {},
): string[] {
  const cells = rows.map((row) => columns.map((column) => cellText(column.value(row))));
  const titles = columns.map((column) => column.title);
  const measured = options.headless === true ? cells : [titles, ...cells];
  const natural = columns.map((_, index) => widest(measured, index));
  const widths = fitWidths(columns, natural, options.width);
  const lines: string[] = [];
  if (options.headless !== true) {
    const paint = (text: string): string => options.colours?.bold(text) ?? text;
    lines.push(joinCells(columns, titles, widths, paint));
  }
  for (const [at, row] of rows.entries()) {
    const paint = (text: string, index: number): string => {
      const painter = columns[index]!.paint;
      return painter === undefined || options.colours === undefined
        ? text
        : painter(text, row, options.colours);
    };
    lines.push(joinCells(columns, cells[at]!, widths, paint));
  }
  return lines;
}

function cellText(value: string | number | undefined): string {
  if (value === undefined || value === "") return "-";
  // NaN is the fault value of a read that could not be done.
  if (typeof value === "number") return Number.isNaN(value) ? "?" : String(value);
  return printable(value);
}

function widest(rows: readonly (readonly string[])[], index: number): number {
  return rows.reduce((width, row) => Math.max(width, displayWidth(row[index]!)), 0);
}

/** Takes cells away from the widest shrinkable column, one by one, until the line fits. */
function fitWidths<Row>(
  columns: readonly Column<Row>[],
  natural: readonly number[],
  limit: number | undefined,
): number[] {
  const widths = [...natural];
  if (limit === undefined) return widths;
  let surplus =
    widths.reduce((sum, width) => sum + width, 0) + GAP.length * (columns.length - 1) - limit;
  while (surplus > 0) {
    const index = widestShrinkable(columns, widths);
    if (index === undefined) break;
    widths[index]!--;
    surplus--;
  }
  return widths;
}

function widestShrinkable<Row>(
  columns: readonly Column<Row>[],
  widths: readonly number[],
): number | undefined {
  let best: number | undefined;
  for (const [index, column] of columns.entries()) {
    if (column.shrink === undefined || widths[index]! <= column.shrink) continue;
    if (best === undefined || widths[index]! > widths[best]!) best = index;
  }
  return best;
}

function joinCells<Row>(
  columns: readonly Column<Row>[],
  cells: readonly string[],
  widths: readonly number[],
  paint: (text: string, index: number) => string,
): string {
  const parts = cells.map((cell, index) => {
    const text = fit(cell, widths[index]!);
    const space = " ".repeat(widths[index]! - displayWidth(text));
    return columns[index]!.align === "right"
      ? space + paint(text, index)
      : paint(text, index) + space;
  });
  return parts.join(GAP).trimEnd();
}
