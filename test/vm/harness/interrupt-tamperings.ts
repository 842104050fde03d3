import type { GuestVirtual } from "../../../src/base/address.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";

/** A vector that the guest does not use while it is tampered with: #BR, bound range exceeded. */
const VECTOR = 5;

/** Changes of the interrupt table and of the code that dispatches system calls. */
export function interruptTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, wrong, moduleFunction, nobody } = place;
  const table = kernel.requireSymbol("idt_table");
  const descriptor = kernel.requireSymbol("idt_descr");
  const gates: HookTampering[] = [
    {
      title: "a gate that leads to another kernel function",
      check: "idt",
      tamper: () => setGate(place, wrong),
      says: /gate 5 .*commit_creds/,
    },
    {
      title: "a gate that leads into a module",
      check: "idt",
      tamper: () => setGate(place, moduleFunction),
      says: /gate 5 .*\[/,
    },
    {
      title: "a gate that leads behind the start of its entry point",
      check: "idt",
      tamper: () => setGate(place, kernel.requireSymbol("asm_exc_bounds") + 4),
      says: /asm_exc_bounds\+0x4/,
    },
    {
      title: "a gate that user programs may call",
      check: "idt",
      tamper: () => editor.write(table + VECTOR * 16 + 5, Uint8Array.of(0xee)),
      says: /gate 5 can be called by user programs/,
    },
    {
      title: "another table for processors that start",
      check: "idt",
      tamper: () => editor.writePointer(descriptor + 2, nobody),
      says: /interrupt table/,
    },
  ];
  return [...gates, ...dispatcherTamperings(place)];
}

/** Writes the three pieces of a gate's address (Intel SDM 3A, figure 6-8). */
function setGate({ kernel, editor }: HookPlace, handler: GuestVirtual): () => void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(kernel.space.folding.unfold(handler));
  const gate = kernel.requireSymbol("idt_table") + VECTOR * 16;
  return together(
    editor.write(gate, bytes.subarray(0, 2)),
    editor.write(gate + 6, bytes.subarray(2, 8)),
  );
}

/** Redirects the last call of the dispatcher to a rare system call. */
function dispatcherTamperings({ kernel, editor, wrong }: HookPlace): HookTampering[] {
  const dispatcher = kernel.symbol("x64_sys_call");
  if (dispatcher !== dispatcher) return [];
  // clang writes handlers of one argument into the dispatcher.
  const rare = kernel.requireSymbol("__x64_sys_reboot");
  const site = branchTo(kernel.space.bytes(dispatcher, 0x8000), dispatcher, rare);
  const redirect = (target: GuestVirtual) => (): (() => void) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(target - (site + 4));
    return editor.write(site, bytes);
  };
  return [
    {
      title: "a call sent to what is no system call",
      check: "syscall-dispatch",
      tamper: redirect(wrong),
      says: /reboot.*commit_creds/,
    },
    {
      title: "a call sent to another system call's handler",
      check: "syscall-dispatch",
      tamper: redirect(kernel.requireSymbol("__x64_sys_swapon")),
      says: /reboot.*__x64_sys_swapon/,
    },
  ];
}

/** Where the four bytes lie of a near branch from the code at `address` to `target`. */
function branchTo(
  code: Uint8Array | undefined,
  address: GuestVirtual,
  target: GuestVirtual,
): GuestVirtual {
  const view = new DataView(code?.buffer ?? new ArrayBuffer(0));
  for (let at = 1; at + 4 <= view.byteLength; at++) {
    const opcode = view.getUint8(at - 1);
    const branches = opcode === 0xe8 || opcode === 0xe9 || (opcode & 0xf0) === 0x80;
    if (branches && address + at + 4 + view.getInt32(at, true) === target) return address + at;
  }
  throw new Error("the dispatcher has no such branch");
}
