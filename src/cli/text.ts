const ascii = /^[\u0020-\u007e]*$/;
// Control and format characters (the latter turn the reading direction or hide), line and
// paragraph separators, lone surrogates: Unicode's general categories.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Text of a guest, safe on a terminal: what would move the cursor, change its colour or its
 * reading direction is shown as an escape (`\x1b`, `\u202e`). Names in a guest are its intruder's to choose.
 */
export function printable(text: string): string {
  if (ascii.test(text)) return text;
  return text.replace(unprintable, escape);
}

/** As `printable`, for text whose lines and tabs are ours. */
export function printableLines(text: string): string {
  if (ascii.test(text)) return text;
  return text.replace(/[^\n\t]+/g, printable);
}

function escape(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  const digits = character.codePointAt(0)!.toString(16);
  if (digits.length <= 2) return `\\x${digits.padStart(2, "0")}`;
  return digits.length <= 4 ? `\\u${digits.padStart(4, "0")}` : `\\u{${digits}}`;
}

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u;

/** Terminal cells that printable text takes: two for East Asian wide characters and emoji (TR11). */
export function displayWidth(text: string): number {
  if (ascii.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += cells(segment);
  return width;
}

function cells(grapheme: string): number {
  return wide.test(grapheme) ? 2 : 1;
}

/** The text, cut to so many cells with an ellipsis where it is longer. */
export function fit(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 1) return "…".slice(0, Math.max(width, 0));
  let used = 0;
  let kept = "";
  for (const { segment } of segmenter.segment(text)) {
    used += cells(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Lines of at most so many cells, broken at blanks; a word that is longer gets a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line === "") line = word;
    else if (displayWidth(line) + 1 + displayWidth(word) <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  return lines;
}
