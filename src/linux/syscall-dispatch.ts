import { branchTarget, decodeInstruction } from "../arch/x86/instruction.ts";
import type { Instruction } from "../arch/x86/instruction.ts";
import type { GuestVirtual } from "../base/address.ts";

/** Deepest comparison tree that is followed; 7.3's have some 14 levels of two or three branches. */
const MAX_STEPS = 256;
/** Numbers that are asked for: x32's highest is 547. */
const MAX_NUMBER = 1023;
/** ESI holds the number: x64_sys_call(regs, nr). */
const REGISTER_ESI = 6;
/** `test esi, esi`. */
const TEST_ESI = 0xf6;
/** What ModRM's middle chooses in the group of 81 and 83. */
const SUB = 5;
const CMP = 7;

type Compared = { readonly left: number; readonly right: number };
/** SUB sets the flags as CMP does, and keeps the difference. */
type Comparison = { readonly right: number; readonly subtracts: boolean };

/** A dispatcher's code, and where it lies. */
export type DispatcherCode = { readonly code: Uint8Array; readonly address: GuestVirtual };

/**
 * Where a system-call dispatcher leads for each number: a `switch` that the compiler turned into
 * comparisons, followed here number by number (arch/x86/entry/syscall_64.c and syscall_32.c, 6.9
 * and stable branches: calls became direct, against branch-target injection). Targets are NaN for
 * a number whose way through the code could not be followed.
 */
export function dispatchTargets(dispatcher: DispatcherCode): GuestVirtual[] {
  const code = new Dispatcher(dispatcher);
  // Where the compiler knows the range, it tells the last number by exclusion.
  const last = Math.min(code.highestNumber() + 1, MAX_NUMBER);
  return Array.from({ length: last + 1 }, (_, number) => code.targetOf(number));
}

class Dispatcher {
  readonly #code: Uint8Array;
  readonly #address: GuestVirtual;
  readonly #decoded = new Map<number, Instruction | undefined>();

  constructor({ code, address }: DispatcherCode) {
    this.#code = code;
    this.#address = address;
  }

  /** The greatest number that anything is compared with. */
  highestNumber(): number {
    let highest = 0;
    let at = 0;
    while (at < this.#code.length) {
      const instruction = this.#at(at);
      if (instruction === undefined) break;
      const number = this.#comparison(at, instruction)?.right ?? 0;
      if (number <= MAX_NUMBER) highest = Math.max(highest, number);
      at += instruction.length;
    }
    return highest;
  }

  /** Follows the comparisons with that number until they leave the function. */
  targetOf(number: number): GuestVirtual {
    let at = 0;
    let left = number;
    let compared: Compared | undefined;
    for (let step = 0; step < MAX_STEPS; step++) {
      const instruction = this.#at(at);
      if (instruction === undefined) return Number.NaN;
      const next = at + instruction.length;
      if (instruction.relativeSize === 0) {
        const comparison = this.#comparison(at, instruction);
        if (comparison === undefined && !isIdle(instruction)) return Number.NaN;
        if (comparison !== undefined) compared = { left, right: comparison.right };
        if (comparison?.subtracts === true) left = (left - comparison.right) >>> 0;
        at = next;
        continue;
      }
      const target = branchTarget(this.#code, at, this.#address + at, instruction);
      const taken = isUnconditional(instruction) || condition(instruction, compared);
      if (taken === undefined) return Number.NaN;
      if (taken && !this.#holds(target)) return target;
      at = taken ? target - this.#address : next;
    }
    return Number.NaN;
  }

  #holds(address: GuestVirtual): boolean {
    return address >= this.#address && address < this.#address + this.#code.length;
  }

  #at(at: number): Instruction | undefined {
    if (!this.#decoded.has(at)) this.#decoded.set(at, decodeInstruction(this.#code, at));
    return this.#decoded.get(at);
  }

  /** What ESI is compared with, or undefined where that is not what the instruction does. */
  #comparison(at: number, { map, opcode, modrm, length }: Instruction): Comparison | undefined {
    if (map !== "one") return undefined;
    if (opcode === 0x85 && modrm === TEST_ESI) return { right: 0, subtracts: false };
    if ((opcode !== 0x83 && opcode !== 0x81) || (modrm & 0xc7) !== (0xc0 | REGISTER_ESI)) {
      return undefined;
    }
    const operation = (modrm >>> 3) & 7;
    if (operation !== CMP && operation !== SUB) return undefined;
    const view = new DataView(this.#code.buffer, this.#code.byteOffset, this.#code.byteLength);
    const end = at + length;
    const right = opcode === 0x83 ? view.getInt8(end - 1) >>> 0 : view.getUint32(end - 4, true);
    return { right, subtracts: operation === SUB };
  }
}

/** CALL, JMP rel8, JMP rel32. */
function isUnconditional({ map, opcode }: Instruction): boolean {
  return map === "one" && (opcode === 0xe8 || opcode === 0xe9 || opcode === 0xeb);
}

/** NOPs, ENDBR64 (0f 1e), `xchg ax, ax` and the frame's push and mov change nothing that matters. */
function isIdle({ map, opcode }: Instruction): boolean {
  if (map === "0f") return opcode === 0x1e || opcode === 0x1f;
  return map === "one" && (opcode === 0x90 || opcode === 0x55 || opcode === 0x89);
}

/** Whether a Jcc jumps after an unsigned comparison (Intel SDM 2, appendix B: tttn). */
function condition({ map, opcode }: Instruction, compared: Compared | undefined) {
  const isJump = map === "0f" ? (opcode & 0xf0) === 0x80 : (opcode & 0xf0) === 0x70;
  if (!isJump || compared === undefined) return undefined;
  const { left, right } = compared;
  // Both are below 2^31, so signed and unsigned comparisons agree.
  switch (opcode & 0xf) {
    case 0x2:
    case 0xc:
      return left < right;
    case 0x3:
    case 0xd:
      return left >= right;
    case 0x4:
      return left === right;
    case 0x5:
      return left !== right;
    case 0x6:
    case 0xe:
      return left <= right;
    case 0x7:
    case 0xf:
      return left > right;
    default:
      return undefined;
  }
}
