import { branchTarget, decodeInstruction } from "../arch/x86/instruction.ts";
import type { Instruction } from "../arch/x86/instruction.ts";
import type { GuestVirtual } from "../base/address.ts";
import { hexBytes } from "../base/hex.ts";
import type { TextChange } from "../linux/kernel-text/text-integrity.ts";
import type { CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import type { Json } from "./finding.ts";

/** Bytes of a change that are shown; its length is given too. */
const SHOWN = 32;
const MAX_INSTRUCTIONS = 8;
/** Longest instruction of x86, and how far into a function one is looked for. */
const LONGEST = 15;
const FARTHEST = 1 << 16;

/** Reports code that nothing explains; `what` begins its title: `Kernel code`. */
export function reportCode(context: CheckContext, change: TextChange, what: string): void {
  const { kernel, facts } = context;
  const place = facts.get(codeOwners).describe(change.address);
  const instruction = instructionAt(context, change.address);
  const target = targetOf(context, instruction);
  if (target === target && facts.get(codeOwners).mayHaveOwner(target)) {
    return context.unseen(`whose the code is that ${place} leads to is not known`);
  }
  return context.report({
    severity: "critical",
    confidence: "high",
    title: `${what} was changed at ${place}.`,
    subject: { function: place },
    evidence: {
      address: kernel.format(change.address),
      length: change.seen.length,
      expected: hexBytes(change.expected.subarray(0, SHOWN)),
      seen: hexBytes(change.seen.subarray(0, SHOWN)),
      leadsTo: leadsTo(context, instruction),
      code: disassembly(context, instruction),
    },
  });
}

/** Where a planted jump or call goes: to a module's function, say, or to memory of nobody. */
function leadsTo(context: CheckContext, address: GuestVirtual): string | null {
  const target = targetOf(context, address);
  return target === target ? describeTarget(context, target) : null;
}

/** Of a near call or jump; NaN for all else. */
function targetOf({ kernel }: CheckContext, address: GuestVirtual): GuestVirtual {
  const code = kernel.space.bytes(address, LONGEST);
  if (code === undefined || (code[0] !== 0xe8 && code[0] !== 0xe9)) return Number.NaN;
  const branch = decodeInstruction(code, 0);
  return branch === undefined ? Number.NaN : branchTarget(code, 0, address, branch);
}

/**
 * Where the instruction begins that a change lies in: of a call sent elsewhere only the distance
 * differs. The place itself where the function cannot be decoded from its start.
 */
function instructionAt({ kernel, facts }: CheckContext, address: GuestVirtual): GuestVirtual {
  const offset = facts.get(codeOwners).ownerOf(address)?.offset ?? 0;
  if (offset > FARTHEST) return address;
  const start = address - offset;
  const code = kernel.space.bytes(start, offset + LONGEST);
  if (code === undefined) return address;
  for (let at = 0; at <= offset;) {
    const length = decodeInstruction(code, at)?.length;
    if (length === undefined) return address;
    if (at + length > offset) return start + at;
    at += length;
  }
  return address;
}

/** `commit_creds (0xffff…)`, and whether the place belongs to anybody. */
export function describeTarget({ kernel, facts }: CheckContext, target: GuestVirtual): string {
  const owners = facts.get(codeOwners);
  const owned = owners.ownerOf(target) !== undefined;
  return `${owners.describe(target)} (${kernel.format(target)}${owned ? "" : ", nobody's"})`;
}

/**
 * The instructions at a place as they are now, a line each: address, bytes, and what it is where it
 * changes the flow. Decoding begins at the place itself.
 */
export function disassembly(context: CheckContext, address: GuestVirtual): Json {
  const code = context.kernel.space.bytes(address, SHOWN);
  if (code === undefined) return null;
  const lines: string[] = [];
  for (let at = 0; lines.length < MAX_INSTRUCTIONS;) {
    const instruction = decodeInstruction(code, at);
    if (instruction === undefined) break;
    const bytes = hexBytes(code.subarray(at, at + instruction.length));
    const flow = flowOf(context, code, at, address + at, instruction);
    lines.push(`${context.kernel.format(address + at)}: ${bytes}${flow}`);
    at += instruction.length;
  }
  return lines;
}

function flowOf(
  context: CheckContext,
  code: Uint8Array,
  at: number,
  address: GuestVirtual,
  instruction: Instruction,
): string {
  const name = mnemonic(instruction);
  if (name === undefined) return "";
  const target = branchTarget(code, at, address, instruction);
  return target === target
    ? ` ${name} ${context.facts.get(codeOwners).describe(target)}`
    : ` ${name}`;
}

/** Of instructions that change the flow; undefined for all others. */
function mnemonic({ map, opcode, modrm }: Instruction): string | undefined {
  if (map === "0f") return (opcode & 0xf0) === 0x80 ? "jcc" : opcode === 0x0b ? "ud2" : undefined;
  if (map !== "one") return undefined;
  if ((opcode & 0xf0) === 0x70) return "jcc";
  if (opcode === 0xff) return ["call *", "jmp *"][[2, 4].indexOf((modrm >>> 3) & 7)];
  return FLOW.get(opcode);
}

const FLOW: ReadonlyMap<number, string> = new Map([
  [0xe8, "call"],
  [0xe9, "jmp"],
  [0xeb, "jmp"],
  [0xc3, "ret"],
  [0xcc, "int3"],
  [0xcd, "int"],
  [0xcf, "iret"],
]);
