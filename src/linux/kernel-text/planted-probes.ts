import type { GuestVirtual } from "../../base/address.ts";
import type { Kprobe } from "../kprobe.ts";

const INT3 = 0xcc;
const JMP = 0xe9;
/** An optimised probe's jump. */
const JUMP_LENGTH = 5;

/** Registered kprobes by address, and whether code is what they jump to when they are optimised. */
export type Probes = {
  readonly at: ReadonlyMap<GuestVirtual, Pick<Kprobe, "opcode" | "copied">>;
  isProbeCode(target: GuestVirtual): boolean;
};

/**
 * Puts back what registered kprobes replaced: a breakpoint's byte, or the five bytes under an
 * optimised probe's jump, also where that is just being written or taken back. What is put back
 * comes from the guest and proves nothing: it is to be compared with the file like all other code.
 * Returns whether there was any probe.
 */
export function removeProbes(code: Uint8Array, base: GuestVirtual, probes: Probes): boolean {
  let found = false;
  for (const [address, probe] of probes.at) {
    const at = address - base;
    // One that begins before is not restored whole; whoever asks has room around what matters.
    if (!(at >= 0 && at < code.length)) continue;
    if (code[at] !== INT3 && code[at] !== JMP) continue;
    const jumps = at + JUMP_LENGTH <= code.length && probes.isProbeCode(jumpTarget(code, at, base));
    if (code[at] === JMP && !jumps) continue;
    if (jumps && probe.copied !== undefined) code.set(probe.copied, at + 1);
    code[at] = probe.opcode;
    found = true;
  }
  return found;
}

/** Where five bytes lead, whatever the first of them is. */
function jumpTarget(code: Uint8Array, at: number, base: GuestVirtual): GuestVirtual {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  return base + at + JUMP_LENGTH + view.getInt32(at + 1, true);
}
