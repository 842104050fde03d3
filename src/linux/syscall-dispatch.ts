import { branchTarget, decodeInstruction } from "../arch/x86/instruction.ts";
import type { Instruction } from "../arch/x86/instruction.ts";
import type { GuestVirtual } from "../base/address.ts";

/** Deepest comparison tree that is followed; 7.3's have some 14 levels of two or three branches. */
const MAX_STEPS = 256;
/** Numbers that are asked for: x32's highest is 547. */
const MAX_NUMBER = 1023;
/** ESI holds the number: x64_sys_call(regs, nr). */
const REGISTER_ESI = 6;
/** What ModRM's middle chooses in the groups of 81 and 83, and of FF. */
const SUB = 5;
const CMP = 7;
const DEC = 1;
/** The first of eight opcodes each, one a register. */
const PUSH = 0x50;
const POP = 0x58;
const SUB_RSP = 0xec;
const ADD_RSP = 0xc4;
/** ModRM and SIB of `[disp32 + index * 8]`. */
const TABLE_MODRM = 0x24;
const TABLE_SIB = 0xc5;

type Compared = { readonly left: number; readonly right: number };
/** The number, or what became of it, in registers by their number; all others are not known. */
type Registers = Map<number, number>;

/** A dispatcher's code, and where it lies. */
export type DispatcherCode = {
  readonly code: Uint8Array;
  readonly address: GuestVirtual;
  /** Reads a slot of the table that a compiler may have made of the switch; NaN where it cannot. */
  readonly pointer: (address: GuestVirtual) => GuestVirtual;
  /** Handlers that clang wrote into the dispatcher itself are told by how they go on. */
  readonly handlers?: Handlers;
};

export type Handlers = {
  /** The handler that begins at `exit`, or whose own code leads there first; `exit` where none does. */
  handlerOf(number: number, exit: GuestVirtual): GuestVirtual;
};

/**
 * Where a system-call dispatcher leads for each number: a `switch` that the compiler turned into
 * comparisons, or, where nothing keeps it from indirect jumps (CONFIG_MITIGATION_RETPOLINE, IBT),
 * into a table. It is followed here number by number (arch/x86/entry/syscall_64.c and syscall_32.c,
 * 6.9 and stable branches: calls became direct, against branch-target injection). Targets are NaN
 * for a number whose way through the code could not be followed.
 */
export function dispatchTargets(dispatcher: DispatcherCode): GuestVirtual[] {
  const code = new Dispatcher(dispatcher);
  // Where the compiler knows the range, it tells the last number by exclusion.
  const last = Math.min(code.highestNumber() + 1, MAX_NUMBER);
  return Array.from({ length: last + 1 }, (_, number) => {
    const exit = code.targetOf(number);
    const target = dispatcher.handlers?.handlerOf(number, exit) ?? exit;
    return target === RETURNS ? Number.NaN : target;
  });
}

/**
 * Where straight code first leads that has no branch under a condition: the target of its first call
 * or jump, 0 where it returns, NaN where that cannot be followed.
 */
export function firstExit(dispatcher: DispatcherCode): GuestVirtual {
  return new Dispatcher(dispatcher).exitFrom(0);
}

/** What leads nowhere else. */
export const RETURNS = 0;
/** A handler that was written into a dispatcher takes its arguments first. */
const MAX_STRAIGHT = 24;

class Dispatcher {
  readonly #code: Uint8Array;
  readonly #view: DataView;
  readonly #address: GuestVirtual;
  readonly #pointer: DispatcherCode["pointer"];
  readonly #decoded = new Map<number, Instruction | undefined>();

  constructor({ code, address, pointer }: DispatcherCode) {
    this.#code = code;
    this.#view = new DataView(code.buffer, code.byteOffset, code.byteLength);
    this.#address = address;
    this.#pointer = pointer;
  }

  /** The greatest number that anything is compared with. */
  highestNumber(): number {
    let highest = 0;
    let at = 0;
    while (at < this.#code.length) {
      const instruction = this.#at(at);
      if (instruction === undefined) break;
      const number = this.#immediate(at, instruction) ?? 0;
      if (number <= MAX_NUMBER) highest = Math.max(highest, number);
      at += instruction.length;
    }
    return highest;
  }

  /** Follows the code with that number until it leaves the function. */
  targetOf(number: number): GuestVirtual {
    let at = 0;
    const registers: Registers = new Map([[REGISTER_ESI, number]]);
    let compared: Compared | undefined;
    for (let step = 0; step < MAX_STEPS; step++) {
      const instruction = this.#at(at);
      if (instruction === undefined) return Number.NaN;
      const next = at + instruction.length;
      const slot = this.#slot(at, instruction, registers);
      if (instruction.relativeSize === 0 && slot === undefined) {
        const result = this.#compute(at, instruction, registers);
        if (result === "unknown") return this.exitFrom(at);
        if (result !== "idle") compared = result;
        at = next;
        continue;
      }
      const target = slot ?? branchTarget(this.#code, at, this.#address + at, instruction);
      const isSure = slot !== undefined || isUnconditional(instruction);
      const taken = isSure || condition(instruction, compared);
      if (taken === undefined) return Number.NaN;
      if (taken && !this.#holds(target)) return target;
      at = taken ? target - this.#address : next;
    }
    return Number.NaN;
  }

  /** See `firstExit`. */
  exitFrom(start: number): GuestVirtual {
    let at = start;
    for (let step = 0; step < MAX_STRAIGHT; step++) {
      const instruction = this.#at(at);
      if (instruction === undefined) return Number.NaN;
      if (isReturn(instruction)) return RETURNS;
      if (isIndirect(instruction)) return Number.NaN;
      if (instruction.relativeSize === 0) {
        at += instruction.length;
        continue;
      }
      if (!isUnconditional(instruction)) return Number.NaN;
      const target = branchTarget(this.#code, at, this.#address + at, instruction);
      if (!this.#holds(target)) return target;
      at = target - this.#address;
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

  /** Where `jmp *table(,%index,8)` leads; undefined for all other instructions. */
  #slot(at: number, { opcode, modrm, length }: Instruction, registers: Registers) {
    if (opcode !== 0xff || modrm !== TABLE_MODRM || this.#code[at] !== 0xff) return undefined;
    const sib = this.#code[at + 2];
    const index = registers.get((sib >>> 3) & 7);
    if ((sib & 0xc7) !== TABLE_SIB || index === undefined) return Number.NaN;
    return this.#pointer(this.#view.getInt32(at + length - 4, true) + index * 8);
  }

  /** Carries out what compilers do with the number before they branch. */
  #compute(at: number, instruction: Instruction, registers: Registers) {
    const { map, opcode, modrm } = instruction;
    // A constant, such as clang's -ENOSYS in RAX ahead of all comparisons.
    if (map === "one" && opcode === 0xc7 && modrm >= 0xc0) {
      return assign(registers, modrm & 7, undefined);
    }
    if (map === "one" && (this.#code[at] & 0xf0) === 0x40) {
      // With a REX prefix come the frame's own and zeroing; what they overwrite is lost.
      registers.delete(modrm & 7);
      return movesFrame(instruction) || isXor(instruction) ? "idle" : "unknown";
    }
    if (map === "one" && (opcode & 0xf8) === POP) {
      registers.delete(opcode & 7);
      return "idle";
    }
    const left = registers.get(modrm & 7);
    const isRegister = modrm >= 0xc0;
    const kind = (modrm >>> 3) & 7;
    if (map === "one" && opcode === 0x89 && isRegister) {
      return assign(registers, modrm & 7, registers.get(kind));
    }
    if (map === "one" && opcode === 0x8b && isRegister) return assign(registers, kind, left);
    if (map === "one" && opcode === 0xff && isRegister && kind === DEC && left !== undefined) {
      return subtract(registers, modrm & 7, { left, right: 1 });
    }
    if (isXor(instruction)) return zero(registers, modrm & 7);
    const right = this.#immediate(at, instruction);
    if (right === undefined) return isIdle(instruction) ? "idle" : "unknown";
    if (left === undefined) return "unknown";
    const subtracts = opcode !== 0x85 && kind === SUB;
    return subtracts ? subtract(registers, modrm & 7, { left, right }) : { left, right };
  }

  /** What a register is compared with or lessened by; `test` of one with itself compares with 0. */
  #immediate(at: number, { map, opcode, modrm, length }: Instruction): number | undefined {
    if (map !== "one" || modrm < 0xc0 || (this.#code[at] & 0xf0) === 0x40) return undefined;
    const kind = (modrm >>> 3) & 7;
    if (opcode === 0x85) return kind === (modrm & 7) ? 0 : undefined;
    if ((opcode !== 0x83 && opcode !== 0x81) || (kind !== CMP && kind !== SUB)) return undefined;
    const end = at + length;
    return opcode === 0x83
      ? this.#view.getInt8(end - 1) >>> 0
      : this.#view.getUint32(end - 4, true);
  }
}

/** `xor eax, eax`: CONFIG_ZERO_CALL_USED_REGS leaves nothing in registers behind a branch. */
function isXor({ map, opcode, modrm }: Instruction): boolean {
  const same = modrm >= 0xc0 && ((modrm >>> 3) & 7) === (modrm & 7);
  return map === "one" && same && (opcode === 0x31 || opcode === 0x33);
}

function zero(registers: Registers, register: number): Compared {
  registers.set(register, 0);
  return { left: 0, right: 0 };
}

function assign(registers: Registers, register: number, value: number | undefined): "idle" {
  if (value === undefined) registers.delete(register);
  else registers.set(register, value);
  return "idle";
}

/** SUB and DEC set the flags as CMP does, and keep the difference. */
function subtract(registers: Registers, register: number, compared: Compared): Compared {
  registers.set(register, (compared.left - compared.right) >>> 0);
  return compared;
}

function isReturn({ map, opcode }: Instruction): boolean {
  return map === "one" && (opcode === 0xc3 || opcode === 0xcc);
}

function isIndirect({ map, opcode }: Instruction): boolean {
  return map === "one" && opcode === 0xff;
}

/** CALL, JMP rel8, JMP rel32. */
function isUnconditional({ map, opcode }: Instruction): boolean {
  return map === "one" && (opcode === 0xe8 || opcode === 0xe9 || opcode === 0xeb);
}

/** `mov rbp, rsp`, and `sub` and `add` of a constant to RSP. */
function movesFrame({ opcode, modrm }: Instruction): boolean {
  return (
    opcode === 0x89 ||
    ((opcode === 0x83 || opcode === 0x81) && (modrm === SUB_RSP || modrm === ADD_RSP))
  );
}

/** NOPs, ENDBR64 (0f 1e), `xchg ax, ax` and the frame's push change nothing that matters. */
function isIdle({ map, opcode }: Instruction): boolean {
  if (map === "0f") return opcode === 0x1e || opcode === 0x1f;
  return map === "one" && (opcode === 0x90 || (opcode & 0xf8) === PUSH);
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
