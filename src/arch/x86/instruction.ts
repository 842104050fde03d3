/**
 * Lengths and control flow of x86-64 instructions (Intel SDM 2, chapters 2 and appendix A): enough
 * to walk through code and to say where it branches, without naming what it does.
 */

export type OpcodeMap = "one" | "0f" | "0f38" | "0f3a" | "other";

/** One instruction. Offsets count from its first byte. */
export type Instruction = {
  readonly length: number;
  readonly map: OpcodeMap;
  readonly opcode: number;
  /** The ModRM byte, or −1. */
  readonly modrm: number;
  /** Where the branch distance lies and how many bytes it has (1 or 4); 0 where it is no relative branch. */
  readonly relativeOffset: number;
  readonly relativeSize: 0 | 1 | 4;
  /** Where a RIP-relative displacement (always 4 bytes) lies; 0 where there is none. */
  readonly ripOffset: number;
};

const MAX_LENGTH = 15;

// What follows an opcode. Low bits: immediate; MODRM: a ModRM byte; BAD: no such instruction.
const IMM8 = 1;
const IMM16 = 2;
/** 4 bytes, or 2 with an operand-size prefix. */
const IMMZ = 3;
/** 8 bytes with REX.W, else as IMMZ. */
const IMMV = 4;
/** A memory offset of 8 bytes, 4 with an address-size prefix. */
const MOFFS = 5;
/** IMM16 and IMM8 (enter). */
const ENTER = 6;
/** A branch distance of 4 bytes, whatever the operand size. */
const REL32 = 7;
/** A branch distance of 1 byte. */
const REL8 = 8;
/** IMM8 or IMMZ for `test`, the first two of the group that ModRM chooses from. */
const TEST8 = 9;
const TESTZ = 10;
const IMMEDIATE = 0xf;
const MODRM = 0x10;
const BAD = 0x20;

const ONE_BYTE = oneByteMap();
const TWO_BYTE = twoByteMap();

function fill(map: Uint8Array, from: number, to: number, value: number): void {
  map.fill(value, from, to + 1);
}

function oneByteMap(): Uint8Array {
  const map = new Uint8Array(256);
  for (let row = 0; row < 0x40; row += 8) {
    fill(map, row, row + 3, MODRM);
    map[row + 4] = IMM8;
    map[row + 5] = IMMZ;
    fill(map, row + 6, row + 7, BAD);
  }
  for (const bad of [0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea]) map[bad] = BAD;
  map[0x63] = MODRM;
  map[0x68] = IMMZ;
  map[0x69] = MODRM | IMMZ;
  map[0x6a] = IMM8;
  map[0x6b] = MODRM | IMM8;
  fill(map, 0x70, 0x7f, REL8);
  map[0x80] = map[0x83] = map[0xc0] = map[0xc1] = map[0xc6] = MODRM | IMM8;
  map[0x81] = map[0xc7] = MODRM | IMMZ;
  fill(map, 0x84, 0x8f, MODRM);
  fill(map, 0xa0, 0xa3, MOFFS);
  map[0xa8] = IMM8;
  map[0xa9] = IMMZ;
  fill(map, 0xb0, 0xb7, IMM8);
  fill(map, 0xb8, 0xbf, IMMV);
  map[0xc2] = map[0xca] = IMM16;
  map[0xc8] = ENTER;
  map[0xcd] = IMM8;
  fill(map, 0xd0, 0xd3, MODRM);
  fill(map, 0xd8, 0xdf, MODRM);
  fill(map, 0xe0, 0xe3, REL8);
  fill(map, 0xe4, 0xe7, IMM8);
  map[0xe8] = map[0xe9] = REL32;
  map[0xeb] = REL8;
  map[0xf6] = MODRM | TEST8;
  map[0xf7] = MODRM | TESTZ;
  map[0xfe] = map[0xff] = MODRM;
  return map;
}

function twoByteMap(): Uint8Array {
  const map = new Uint8Array(256).fill(MODRM);
  for (const plain of [0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x0e, 0x77, 0xa0, 0xa1, 0xa2, 0xa8]) {
    map[plain] = 0;
  }
  fill(map, 0x30, 0x37, 0);
  map[0xa9] = map[0xaa] = 0;
  fill(map, 0xc8, 0xcf, 0);
  fill(map, 0x80, 0x8f, REL32);
  for (const bad of [0x04, 0x0a, 0x0c, 0x24, 0x25, 0x26, 0x27, 0x36]) map[bad] = BAD;
  fill(map, 0x70, 0x73, MODRM | IMM8);
  for (const with8 of [0x0f, 0xa4, 0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6]) map[with8] = MODRM | IMM8;
  return map;
}

/** The instruction at `at`, or undefined where there is none or it runs beyond the end. */
export function decodeInstruction(code: Uint8Array, at: number): Instruction | undefined {
  const decoder = new Decoder(code, at);
  return decoder.decode();
}

/** Target of a relative branch at `address`, NaN for anything else. */
export function branchTarget(
  code: Uint8Array,
  at: number,
  address: number,
  instruction: Instruction,
): number {
  const { length, relativeOffset, relativeSize } = instruction;
  if (relativeSize === 0) return Number.NaN;
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const place = at + relativeOffset;
  const distance = relativeSize === 1 ? view.getInt8(place) : view.getInt32(place, true);
  return address + length + distance;
}

class Decoder {
  readonly #code: Uint8Array;
  readonly #start: number;
  #at: number;
  #operand16 = false;
  #address32 = false;
  #wide = false;

  constructor(code: Uint8Array, at: number) {
    this.#code = code;
    this.#start = at;
    this.#at = at;
  }

  decode(): Instruction | undefined {
    const first = this.#prefixes();
    if (first === 0x62 || first === 0xc4 || first === 0xc5) return this.#vector(first);
    if (first !== 0x0f) return this.#finish("one", first, ONE_BYTE[first]);
    const second = this.#next();
    if (second === 0x38) return this.#finish("0f38", this.#next(), MODRM);
    if (second === 0x3a) return this.#finish("0f3a", this.#next(), MODRM | IMM8);
    return this.#finish("0f", second, TWO_BYTE[second]);
  }

  /** Consumes legacy prefixes and REX, and returns the byte behind them. */
  #prefixes(): number {
    for (let count = 0; count < MAX_LENGTH; count++) {
      const byte = this.#next();
      if (byte === 0x66) this.#operand16 = true;
      else if (byte === 0x67) this.#address32 = true;
      else if ((byte & 0xf0) === 0x40) {
        this.#wide = (byte & 8) !== 0;
        const opcode = this.#next();
        // A REX that is not the last prefix is ignored by the processor.
        if (!isPrefix(opcode)) return opcode;
        this.#wide = false;
        this.#at--;
      } else if (!isPrefix(byte)) return byte;
    }
    return 0x06;
  }

  /** VEX and EVEX: the map is named in the prefix, and a ModRM byte always follows. */
  #vector(first: number): Instruction | undefined {
    const payload = this.#next();
    let map = 1;
    if (first === 0xc4) {
      map = payload & 0x1f;
      this.#at += 1;
    } else if (first === 0x62) {
      map = payload & 7;
      this.#at += 2;
    }
    const opcode = this.#next();
    const hasImmediate = map === 3 || (map === 1 && (TWO_BYTE[opcode] & IMMEDIATE) === IMM8);
    // vzeroupper is the one without operands.
    const bare = map === 1 && opcode === 0x77 && first !== 0x62;
    return this.#finish("other", opcode, (bare ? 0 : MODRM) | (hasImmediate ? IMM8 : 0));
  }

  #finish(map: OpcodeMap, opcode: number, form: number): Instruction | undefined {
    if ((form & BAD) !== 0) return undefined;
    let modrm = -1;
    let ripOffset = 0;
    if ((form & MODRM) !== 0) {
      modrm = this.#next();
      ripOffset = this.#memory(modrm);
    }
    const kind = form & IMMEDIATE;
    const immediateAt = this.#at - this.#start;
    this.#at += this.#immediate(kind, modrm);
    const length = this.#at - this.#start;
    if (length > MAX_LENGTH || this.#at > this.#code.length) return undefined;
    const relativeSize = kind === REL32 ? 4 : kind === REL8 ? 1 : 0;
    const relativeOffset = relativeSize === 0 ? 0 : immediateAt;
    return { length, map, opcode, modrm, relativeOffset, relativeSize, ripOffset };
  }

  /** Consumes SIB and displacement; returns where a RIP-relative displacement lies, else 0. */
  #memory(modrm: number): number {
    const mode = modrm >>> 6;
    const register = modrm & 7;
    if (mode === 3) return 0;
    const place = this.#at - this.#start;
    if (register === 4) {
      const base = this.#next() & 7;
      this.#at += mode === 1 ? 1 : mode === 2 || base === 5 ? 4 : 0;
      return 0;
    }
    this.#at += mode === 1 ? 1 : mode === 2 || register === 5 ? 4 : 0;
    return mode === 0 && register === 5 ? place : 0;
  }

  #immediate(kind: number, modrm: number): number {
    const z = this.#operand16 ? 2 : 4;
    switch (kind) {
      case IMM8:
      case REL8:
        return 1;
      case IMM16:
        return 2;
      case ENTER:
        return 3;
      case REL32:
        return 4;
      case IMMZ:
        return z;
      case IMMV:
        return this.#wide ? 8 : z;
      case MOFFS:
        return this.#address32 ? 4 : 8;
      case TEST8:
        return (modrm & 0x38) < 0x10 ? 1 : 0;
      case TESTZ:
        return (modrm & 0x38) < 0x10 ? z : 0;
      default:
        return 0;
    }
  }

  /** Beyond the end every byte is a zero; the length check at the end refuses the whole. */
  #next(): number {
    return this.#code[this.#at++] ?? 0;
  }
}

function isPrefix(byte: number): boolean {
  switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return true;
    default:
      return (byte & 0xf0) === 0x40;
  }
}
