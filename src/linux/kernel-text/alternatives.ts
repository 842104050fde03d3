import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import type { CodeFile } from "./code-file.ts";

/** One entry of `.altinstructions`: text that may be replaced when the processor has a feature. */
export type Alternative = {
  readonly address: GuestVirtual;
  readonly length: number;
  readonly replacement: GuestVirtual;
  readonly replacementLength: number;
};

const MAX_ALTERNATIVES = 100_000;
/** Linux has three at most; a forged module's file could have them all at one. */
const MAX_AT_ONE_PLACE = 16;

/**
 * All alternatives by the address of the text that they may replace (struct alt_instr,
 * arch/x86/include/asm/alternative.h; its size changed in 5.13 and 6.3, so BTF says where what
 * lies). Several may stand for one place: the last whose feature is there wins.
 */
export function alternatives(kernel: Kernel, file: CodeFile): Map<GuestVirtual, Alternative[]> {
  const { types } = kernel;
  const section = file.sections.get(".altinstructions");
  const found = new Map<GuestVirtual, Alternative[]>();
  if (section === undefined) return found;
  const size = types.size("alt_instr");
  const at = {
    instr: types.offset("alt_instr", "instr_offset"),
    repl: types.offset("alt_instr", "repl_offset"),
    length: types.offset("alt_instr", "instrlen"),
    replLength: types.offset("alt_instr", "replacementlen"),
  };
  const count = Math.min(Math.floor(section.size / size), MAX_ALTERNATIVES);
  for (let index = 0; index < count; index++) {
    const entry = section.start + index * size;
    const address = entry + at.instr + file.i32(entry + at.instr);
    const alternative = {
      address,
      length: file.bytes(entry + at.length, 1)?.[0] ?? 0,
      replacement: entry + at.repl + file.i32(entry + at.repl),
      replacementLength: file.bytes(entry + at.replLength, 1)?.[0] ?? 0,
    };
    const others = found.get(address);
    if (others === undefined) found.set(address, [alternative]);
    else if (others.length < MAX_AT_ONE_PLACE) others.push(alternative);
  }
  return found;
}
