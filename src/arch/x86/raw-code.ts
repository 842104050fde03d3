import { decodeInstruction } from "./instruction.ts";

/** Between the number of a system call and the call itself lie a few instructions at most. */
const REACH = 24;
/** System calls of x86-64 end below this (arch/x86/entry/syscalls/syscall_64.tbl). */
const MAX_CALL = 600;
const SYSCALL = Buffer.from([0x0f, 0x05]);
const INT_80 = Buffer.from([0xcd, 0x80]);

/**
 * Offsets at which code sets the number of a system call to a constant and makes the call a few
 * instructions later. Compilers at run time leave system calls to a library, so that their code has
 * none; code that was written to run anywhere has no library and makes its own.
 */
export function directSystemCalls(code: Uint8Array, most: number): number[] {
  const bytes = Buffer.from(code.buffer, code.byteOffset, code.byteLength);
  const found = new Set<number>();
  for (const call of [SYSCALL, INT_80]) {
    for (let at = bytes.indexOf(call); at >= 0; at = bytes.indexOf(call, at + 1)) {
      if (found.size >= most) return [...found];
      const from = numberSetBefore(bytes, at);
      if (from !== undefined) found.add(from);
    }
  }
  return [...found];
}

/** Whether the two bytes before `ip` are a system call, so that a thread there waits in one. */
export function isSystemCall(twoBytes: Uint8Array): boolean {
  return [SYSCALL, INT_80].some((call) => call.equals(twoBytes));
}

/** The nearest place before `call` that sets the accumulator, and from where code leads to it. */
function numberSetBefore(code: Buffer, call: number): number | undefined {
  for (let at = call - 2; at >= Math.max(0, call - REACH); at--) {
    const length = setterLength(code, at);
    if (length !== undefined && leadsTo(code, at + length, call)) return at;
  }
  return undefined;
}

/** Bytes of `mov eax, N`, `mov rax, N` or `push N; pop rax` at an offset. */
function setterLength(code: Buffer, at: number): number | undefined {
  const room = code.length - at;
  if (code[at] === 0xb8 && room >= 5) return code.readUInt32LE(at + 1) < MAX_CALL ? 5 : undefined;
  const isMove = code[at] === 0x48 && code[at + 1] === 0xc7 && code[at + 2] === 0xc0 && room >= 7;
  if (isMove) return code.readUInt32LE(at + 3) < MAX_CALL ? 7 : undefined;
  return code[at] === 0x6a && code[at + 1]! < 0x80 && code[at + 2] === 0x58 ? 3 : undefined;
}

/** Whether whole instructions fill the stretch. */
function leadsTo(code: Buffer, from: number, to: number): boolean {
  let at = from;
  while (at < to) {
    const length = decodeInstruction(code, at)?.length ?? 0;
    if (length === 0) return false;
    at += length;
  }
  return at === to;
}
