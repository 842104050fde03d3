import { blockOf } from "../memory/ranges.ts";
import type { RamBlock } from "../memory/ranges.ts";
import type { ProcessorState } from "./registers.ts";

/** ELF constants, as in the gABI and linux/elf.h. */
const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const ET_CORE = 4;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const NT_PRSTATUS = 1;
/** Where the RAM's first byte lies in the file: a fixed place, with room for a thousand vCPUs' notes before. */
export const RAM_AT = 2 ** 20;

/** What the captured kernel says of itself, so that debuggers find their way by its addresses. */
export type KernelSelf = {
  /** The text that it keeps for its own crash dumps. */
  readonly vmcoreinfo: Uint8Array | undefined;
  /** Where it has all of physical memory mapped. */
  readonly directMap: bigint | undefined;
  /** Where its image is mapped, and lies. */
  readonly image: { readonly virtual: bigint; readonly physical: number; readonly size: number };
};

/**
 * The head of an ELF core of a guest: for each vCPU a NT_PRSTATUS note and QEMU's own (so that
 * debuggers learn the control registers), the guest's VMCOREINFO, and one PT_LOAD a RAM block. Where
 * the kernel was understood, the addresses of its direct map are with them, and another PT_LOAD has
 * its image: the same bytes of the file, as a kernel's own crash dumps have it
 * (kernel/kexec_file.c: crash_prepare_elf64_headers).
 */
export function coreHeader(
  blocks: readonly RamBlock[],
  cpus: readonly ProcessorState[],
  kernel?: KernelSelf,
): Buffer {
  const vmcoreinfo = kernel?.vmcoreinfo;
  const loads = [...imageLoads(blocks, kernel), ...blocks.map((block) => blockLoad(block, kernel))];
  const notes = Buffer.concat([
    ...cpus.map((cpu, index) => note("CORE", NT_PRSTATUS, prstatus(cpu, index))),
    ...cpus.map((cpu) => note("QEMU", 0, qemuState(cpu))),
    ...(vmcoreinfo === undefined ? [] : [note("VMCOREINFO", 0, vmcoreinfo)]),
  ]);
  const notesAt = ELF_HEADER + PROGRAM_HEADER * (1 + loads.length);
  const headers = [
    programHeader(PT_NOTE, { offset: notesAt, physical: 0, virtual: 0n, size: notes.length }),
    ...loads.map((load) => programHeader(PT_LOAD, load)),
  ];
  const bytes = Buffer.concat([fileHeader(headers.length), ...headers, notes]);
  if (bytes.length > RAM_AT) throw new RangeError("more notes than a core file has room for");
  return bytes;
}

function fileHeader(programHeaders: number): Buffer {
  const header = Buffer.alloc(ELF_HEADER);
  header.write("\x7fELF", "latin1");
  // 64-bit, little-endian, version 1.
  header.set([2, 1, 1], 4);
  header.writeUInt16LE(ET_CORE, 16);
  header.writeUInt16LE(EM_X86_64, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(ELF_HEADER), 32);
  header.writeUInt16LE(ELF_HEADER, 52);
  header.writeUInt16LE(PROGRAM_HEADER, 54);
  header.writeUInt16LE(programHeaders, 56);
  return header;
}

type Load = {
  readonly offset: number;
  readonly virtual: bigint;
  readonly physical: number;
  readonly size: number;
};

function blockLoad({ start, size, offset }: RamBlock, kernel: KernelSelf | undefined): Load {
  const { directMap } = kernel ?? {};
  const virtual = directMap === undefined ? 0n : directMap + BigInt(start);
  return { offset: RAM_AT + offset, virtual, physical: start, size };
}

/** The kernel's image, where it lies whole in one block. */
function imageLoads(blocks: readonly RamBlock[], kernel: KernelSelf | undefined): Load[] {
  if (kernel === undefined) return [];
  const { virtual, physical, size } = kernel.image;
  const block = blockOf(blocks, physical);
  if (block === undefined || physical + size > block.start + block.size) return [];
  return [{ offset: RAM_AT + block.offset + (physical - block.start), virtual, physical, size }];
}

function programHeader(type: number, { offset, virtual, physical, size }: Load): Buffer {
  const header = Buffer.alloc(PROGRAM_HEADER);
  header.writeUInt32LE(type, 0);
  header.writeBigUInt64LE(BigInt(offset), 8);
  header.writeBigUInt64LE(virtual, 16);
  header.writeBigUInt64LE(BigInt(physical), 24);
  header.writeBigUInt64LE(BigInt(size), 32);
  header.writeBigUInt64LE(BigInt(size), 40);
  return header;
}

const padded = (length: number): number => Math.ceil(length / 4) * 4;

/** Name and content are padded to four bytes each. */
function note(name: string, type: number, content: Uint8Array): Buffer {
  const nameAt = 12;
  const contentAt = nameAt + padded(name.length + 1);
  const bytes = Buffer.alloc(contentAt + padded(content.length));
  bytes.writeUInt32LE(name.length + 1, 0);
  bytes.writeUInt32LE(content.length, 4);
  bytes.writeUInt32LE(type, 8);
  bytes.write(name, nameAt, "latin1");
  bytes.set(content, contentAt);
  return bytes;
}

/** user_regs_struct from byte 112 of the note on (arch/x86/include/asm/user_64.h); "" is left 0. */
const STATUS_REGISTERS =
  "R15 R14 R13 R12 RBP RBX R11 R10 R9 R8 RAX RCX RDX RSI RDI - RIP CS RFL RSP SS FS GS".split(" ");
const PRSTATUS_SIZE = 336;
const PRSTATUS_PID = 32;
const PRSTATUS_REGISTERS = 112;

function prstatus({ registers, segments }: ProcessorState, index: number): Buffer {
  const bytes = Buffer.alloc(PRSTATUS_SIZE);
  bytes.writeUInt32LE(index + 1, PRSTATUS_PID);
  for (const [slot, name] of STATUS_REGISTERS.entries()) {
    const segment = segments[name];
    const value =
      name === "CS" || name === "SS"
        ? BigInt(segment?.selector ?? 0)
        : (segment?.base ?? registers[name]);
    bytes.writeBigUInt64LE(value ?? 0n, PRSTATUS_REGISTERS + slot * 8);
  }
  return bytes;
}

/** QEMUCPUState, version 1 (QEMU target/i386/arch_dump.c). */
const QEMU_REGISTERS =
  "RAX RBX RCX RDX RSI RDI RSP RBP R8 R9 R10 R11 R12 R13 R14 R15 RIP RFL".split(" ");
const QEMU_SEGMENTS = "CS DS ES FS GS SS LDT TR GDT IDT".split(" ");
const SEGMENT_SIZE = 24;
const QEMU_SIZE = 8 + 18 * 8 + 10 * SEGMENT_SIZE + 5 * 8 + 8;

function qemuState({ registers, segments }: ProcessorState): Buffer {
  const bytes = Buffer.alloc(QEMU_SIZE);
  bytes.writeUInt32LE(1, 0);
  bytes.writeUInt32LE(QEMU_SIZE, 4);
  let at = 8;
  for (const name of QEMU_REGISTERS) at = bytes.writeBigUInt64LE(registers[name] ?? 0n, at);
  for (const name of QEMU_SEGMENTS) {
    const segment = segments[name];
    bytes.writeUInt32LE(segment?.selector ?? 0, at);
    bytes.writeUInt32LE(segment?.limit ?? 0, at + 4);
    bytes.writeUInt32LE(segment?.flags ?? 0, at + 8);
    bytes.writeBigUInt64LE(segment?.base ?? 0n, at + 16);
    at += SEGMENT_SIZE;
  }
  // cr[0] to cr[4]; cr[1] does not exist.
  for (const name of ["CR0", "-", "CR2", "CR3", "CR4"]) {
    at = bytes.writeBigUInt64LE(registers[name] ?? 0n, at);
  }
  return bytes;
}
