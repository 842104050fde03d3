import koffi from "koffi";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { libc, systemError } from "./libc.ts";

// Safe: numbers only; the tracee's state is the kernel's.
const ptrace = libc.func("long ptrace(long request, int pid, long address, long data)");
// Safe: the buffer is as long as struct user_regs_struct, which these requests read and write whole.
const ptraceRegisters = libc.func(
  "long ptrace(long request, int pid, long address, _Inout_ void *registers)",
);
// Safe: one int is written, into a buffer of one int.
const waitpid = libc.func("int waitpid(int pid, _Out_ int *status, int options)");

// include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h, include/uapi/linux/wait.h
const PTRACE_SINGLESTEP = 9;
const PTRACE_GETREGS = 12;
const PTRACE_SETREGS = 13;
const PTRACE_DETACH = 17;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const WALL = 0x4000_0000;
const SIGTRAP = 5;

/** Places in struct user_regs_struct (arch/x86/include/asm/user_64.h), in words of 8 bytes. */
const WORDS = 27;
const [R10, RAX, RDX, RSI, RDI, ORIG_RAX, RIP] = [7, 10, 12, 13, 14, 15, 16];
/** Signals that may come in between are kept for later; more than this is no accident. */
const MAX_SIGNALS = 16;

/** Carries out system calls in the stopped process. */
export type Injector = (number: number, ...args: readonly bigint[]) => bigint;

/**
 * Stops the main thread of a process for the time of `work`, which may make it carry out system
 * calls; its registers are put back and it goes on, whatever happens. All on one thread of ours, as
 * ptrace(2) demands, and without awaiting. x86-64 only. Throws KVMSEC_SYSTEM_CALL.
 */
export function withStoppedProcess<Result>(
  pid: number,
  work: (inject: Injector) => Result,
): Result {
  const instruction = findSyscallInstruction(pid);
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) !== 0) throw systemError("ptrace seize");
  let signal = 0;
  try {
    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) !== 0) throw systemError("ptrace interrupt");
    untilStopped(pid);
    const original = registersOf(pid);
    try {
      return work((number, ...args) => {
        const { result, other } = callIn(pid, original, instruction, number, args);
        signal ||= other;
        return result;
      });
    } finally {
      setRegisters(pid, original);
    }
  } finally {
    ptrace(PTRACE_DETACH, pid, 0, signal);
  }
}

function callIn(
  pid: number,
  original: BigInt64Array,
  instruction: bigint,
  number: number,
  args: readonly bigint[],
): { result: bigint; other: number } {
  const registers = original.slice();
  registers[RAX] = BigInt(number);
  for (const [index, slot] of [RDI, RSI, RDX, R10].entries()) registers[slot] = args[index] ?? 0n;
  registers[RIP] = instruction;
  // Not inside a system call that would be restarted (arch/x86/kernel/signal.c).
  registers[ORIG_RAX] = -1n;
  setRegisters(pid, registers);
  let other = 0;
  for (let tries = 0; tries < MAX_SIGNALS; tries++) {
    if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) !== 0) throw systemError("ptrace step");
    const signal = untilStopped(pid);
    if (signal === SIGTRAP) break;
    other = signal;
  }
  return { result: registersOf(pid)[RAX]!, other };
}

/** Waits until the thread stands; returns the signal that it stands with. */
function untilStopped(pid: number): number {
  const status = [0];
  if (waitpid(pid, status, WALL) !== pid) throw systemError("waitpid");
  return (status[0]! >> 8) & 0xff;
}

function registersOf(pid: number): BigInt64Array {
  const registers = new BigInt64Array(WORDS);
  if (ptraceRegisters(PTRACE_GETREGS, pid, 0, registers) !== 0) {
    throw systemError("ptrace getregs");
  }
  return registers;
}

function setRegisters(pid: number, registers: BigInt64Array): void {
  if (ptraceRegisters(PTRACE_SETREGS, pid, 0, registers) !== 0) {
    throw systemError("ptrace setregs");
  }
}

const SYSCALL = Buffer.from([0x0f, 0x05]);
const WINDOW = 4 * 2 ** 20;

/** The address of a `syscall` instruction in the process's C library. */
function findSyscallInstruction(pid: number): bigint {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  const fd = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const line of lines) {
      const match = /^([0-9a-f]+)-([0-9a-f]+) r-xp .*\/libc[.-]/.exec(line);
      if (match === null) continue;
      const start = BigInt(`0x${match[1]}`);
      const length = Math.min(Number(BigInt(`0x${match[2]}`) - start), WINDOW);
      const bytes = Buffer.alloc(length);
      const at = bytes.subarray(0, readSync(fd, bytes, 0, length, start)).indexOf(SYSCALL);
      if (at >= 0) return start + BigInt(at);
    }
  } finally {
    closeSync(fd);
  }
  throw new Error(`no syscall instruction in the C library of process ${pid}`);
}

/** Whether this machine's registers are those that are known here. */
export const canInject = process.arch === "x64" && koffi.sizeof("void *") === 8;
