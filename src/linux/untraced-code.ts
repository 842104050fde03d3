import { decodeInstruction } from "../arch/x86/instruction.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { CodeOwners } from "./code-owner.ts";
import { removeProbes } from "./kernel-text/planted-probes.ts";
import { kprobes } from "./kprobe.ts";
import { isHeld } from "./mutex.ts";

const CALL = 0xe8;
const INT3 = 0xcc;
const CALL_LENGTH = 5;
/** ENDBR64, or the NOP of four bytes that takes its place where nothing jumps to. */
const LANDING_LENGTH = 4;
const NOP = [0x0f, 0x1f, 0x44, 0x00, 0x00];

/** Whether ftrace makes functions call this: a trampoline of its own or BPF's, or `ftrace_caller`. */
export function isTrampoline(owners: CodeOwners, target: GuestVirtual): boolean {
  const owner = owners.ownerOf(target);
  if (owner === undefined) return false;
  if (owner.kind === "kernel") return /^ftrace_(regs_)?caller$/.test(owner.symbol ?? "");
  return owner.kind === "ftrace" || owner.kind === "bpf";
}

/**
 * A function's code as it runs when nobody traces it: without kprobes, and without the call at its
 * start where that leads to one of ftrace's trampolines or is just being changed.
 */
export function untracedCode(
  owners: CodeOwners,
  seen: Uint8Array,
  address: GuestVirtual,
): Uint8Array {
  const { kernel } = owners;
  const code = Uint8Array.from(seen);
  const at = new Map(
    Array.from(
      kprobes(kernel, () => {}),
      (probe) => [probe.address, probe],
    ),
  );
  const isProbeCode = (target: GuestVirtual): boolean => owners.ownerOf(target)?.kind === "kprobe";
  removeProbes(code, address, { at, isProbeCode });
  if (code.length < LANDING_LENGTH + CALL_LENGTH) return code;
  const view = new DataView(code.buffer);
  const landing = decodeInstruction(code, 0);
  const lands = landing?.map === "0f" && landing.length === LANDING_LENGTH;
  const start = lands && (landing.opcode === 0x1e || landing.opcode === 0x1f) ? LANDING_LENGTH : 0;
  const target = address + start + CALL_LENGTH + view.getInt32(start + 1, true);
  const traced = code[start] === CALL && isTrampoline(owners, target);
  const changing = code[start] === INT3 && isHeld(kernel, "text_mutex");
  if (traced || changing) code.set(NOP, start);
  return code;
}
