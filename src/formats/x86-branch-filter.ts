/** How many bytes ahead of the opcode's end the last bit of `mask` points; 3 bits of history. */
const BYTE_OF_MASK = [0, 1, 2, 2, 3, 3, 3, 3];
/** Histories after which the bytes can still be a branch's offset. */
const POSSIBLE = [true, true, true, false, true, false, false, false];

/**
 * Undoes the x86 filter of xz in place: the packer wrote the targets of calls and jumps (e8, e9)
 * as addresses, which pack better than offsets (the .xz file format, section 5.3.2).
 */
export function undoX86BranchFilter(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let last = -1;
  let mask = 0;
  for (let at = 0; at + 4 < bytes.length; at++) {
    if ((bytes[at] & 0xfe) !== 0xe8) continue;
    const distance = at - last;
    mask = distance > 3 ? 0 : (mask << (distance - 1)) & 7;
    last = at;
    const isAmidst = mask !== 0 && isSign(bytes[at + 4 - BYTE_OF_MASK[mask]]);
    if (!POSSIBLE[mask] || isAmidst || !isSign(bytes[at + 4])) {
      mask = (mask << 1) | 1;
      continue;
    }
    view.setInt32(at + 1, offsetOf(view.getUint32(at + 1, true), at, mask), true);
    at += 4;
  }
}

/** Offsets reach 16 MiB either way: their highest byte is only sign. */
function isSign(byte: number): boolean {
  return byte === 0 || byte === 0xff;
}

function offsetOf(packed: number, at: number, mask: number): number {
  let source = packed;
  for (;;) {
    const offset = (source - (at + 5)) >>> 0;
    const shift = BYTE_OF_MASK[mask] * 8;
    const isDone = mask === 0 || !isSign((offset >>> (24 - shift)) & 0xff);
    // 25 bits, sign-extended.
    if (isDone) return (offset << 7) >> 7;
    source = (offset ^ (2 ** (32 - shift) - 1)) >>> 0;
  }
}
