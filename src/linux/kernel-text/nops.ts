import { decodeInstruction } from "../../arch/x86/instruction.ts";

const INT3 = 0xcc;

/**
 * Whether bytes [from, to) do nothing: NOPs of any encoding, or, for long runs since 6.4, a jump
 * to the end over breakpoints (add_nop in arch/x86/kernel/alternative.c). Breakpoints alone stand
 * behind what never returns.
 */
export function isPadding(code: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to;) {
    const length = nopLength(code, at);
    if (length > 0 && at + length <= to) {
      at += length;
      continue;
    }
    if (jumpsTo(code, at, to)) return allBreakpoints(code, at + (code[at] === 0xeb ? 2 : 5), to);
    return allBreakpoints(code, at, to);
  }
  return true;
}

/** The end of the run of NOPs that begins at `at`; `at` itself where there is none. */
export function nopsEnd(code: Uint8Array, at: number, limit: number): number {
  let end = at;
  for (let length = nopLength(code, end); length > 0; length = nopLength(code, end)) {
    if (end + length > limit) break;
    end += length;
  }
  return end;
}

/** Length of the NOP at `at`, 0 where there is none. */
function nopLength(code: Uint8Array, at: number): number {
  let opcode = at;
  while (code[opcode] === 0x66 || code[opcode] === 0x2e) opcode++;
  const isNop = code[opcode] === 0x90 || (code[opcode] === 0x0f && code[opcode + 1] === 0x1f);
  return isNop ? (decodeInstruction(code, at)?.length ?? 0) : 0;
}

function jumpsTo(code: Uint8Array, at: number, target: number): boolean {
  if (code[at] === 0xeb) return at + 2 + ((code[at + 1] << 24) >> 24) === target;
  if (code[at] !== 0xe9) return false;
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  return at + 5 <= code.length && at + 5 + view.getInt32(at + 1, true) === target;
}

function allBreakpoints(code: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (code[at] !== INT3) return false;
  return true;
}
