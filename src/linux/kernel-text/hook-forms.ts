import type { Instruction } from "../../arch/x86/instruction.ts";
import type { AddressSpace } from "../../arch/x86/address-space.ts";
import type { GuestVirtual } from "../../base/address.ts";

/** What is asked of the guest's memory. */
export type CodeReader = Pick<AddressSpace, "folding" | "pointer">;

/** A way to jump anywhere that compilers do not use: what it is, and where it leads. */
export type HookForm = {
  readonly length: number;
  readonly why: string;
  readonly target: GuestVirtual;
};

const MOVABS_LENGTH = 10;
const PUSH_IMMEDIATE = 0x68;
const RET = 0xc3;
/** ModRM bytes behind 0xff. */
const JMP_REGISTER = 0xe0;
const CALL_REGISTER = 0xd0;

/**
 * The forms of jumps with a whole address in them: `movabs $address, %reg; jmp *%reg` (or `push;
 * ret`), `push $address; ret`, and `jmp *address(%rip)` through a word of the code itself.
 */
export function hookForm(
  space: CodeReader,
  code: Uint8Array,
  at: number,
  address: GuestVirtual,
  { length, opcode, map, modrm }: Instruction,
): HookForm | undefined {
  if (map !== "one") return undefined;
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  if (length === MOVABS_LENGTH && opcode >= 0xb8 && opcode <= 0xbf) {
    const register = (opcode & 7) + (code[at] & 1) * 8;
    if (!jumpsTo(code, at + length, register)) return undefined;
    const low = view.getUint32(at + 2, true);
    const target = space.folding.fold(low, view.getUint32(at + 6, true));
    return { length: length + 2, why: "jumps to an address that it holds itself", target };
  }
  if (opcode === PUSH_IMMEDIATE && length === 5 && code[at + 5] === RET) {
    return {
      length: 6,
      why: "returns to an address that it holds",
      target: view.getInt32(at + 1, true),
    };
  }
  if (opcode === 0xff && (modrm & 0xc7) === 5 && ((modrm >>> 3) & 7) === 4) {
    const slot = address + length + view.getInt32(at + length - 4, true);
    if (slot < address || slot >= address + code.length - at) return undefined;
    const target = space.pointer(slot);
    return { length, why: "jumps through an address that stands in code", target };
  }
  return undefined;
}

/** `jmp *%reg`, `call *%reg`, or `push %reg; ret`; REX.B in front for the upper eight. */
function jumpsTo(code: Uint8Array, at: number, register: number): boolean {
  const upper = register >= 8;
  if (upper && code[at] !== 0x41) return false;
  const place = upper ? at + 1 : at;
  const low = register & 7;
  if (code[place] === 0xff)
    return code[place + 1] === JMP_REGISTER + low || code[place + 1] === CALL_REGISTER + low;
  return code[place] === 0x50 + low && code[place + 1] === RET;
}
