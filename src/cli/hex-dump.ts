import type { MemoryReading } from "../linux/memory-reading.ts";

const LINE = 16;

/**
 * Lines as `hexdump -C` prints them: address, sixteen bytes, the same as ASCII. A byte that could
 * not be read is `??`. `addressOf` gives the text of the address of an offset.
 */
export function hexDump(reading: MemoryReading, addressOf: (offset: number) => string): string[] {
  const { bytes, missing } = reading;
  const known = new Uint8Array(bytes.length).fill(1);
  for (const { offset, length } of missing) known.fill(0, offset, offset + length);
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += LINE) {
    const cells: string[] = [];
    let text = "";
    for (let at = offset; at < offset + LINE; at++) {
      const readable = known[at] === 1;
      cells.push(at >= bytes.length ? "  " : readable ? hexByte(bytes[at]) : "??");
      if (at < bytes.length) text += readable ? character(bytes[at]) : "?";
    }
    const halves = `${cells.slice(0, 8).join(" ")}  ${cells.slice(8).join(" ")}`;
    lines.push(`${addressOf(offset)}  ${halves}  |${text}|`);
  }
  return lines;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function character(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
}
