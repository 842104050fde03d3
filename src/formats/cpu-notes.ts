import { elfNotes } from "./elf.ts";
import type { ElfNote } from "./elf.ts";
import { big64, u32 } from "./little-endian.ts";

/** Order of x86-64 user_regs_struct inside NT_PRSTATUS (asm/user_64.h), at 112 of the note. */
const PRSTATUS_REGISTERS =
  "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs rflags rsp ss fsBase gsBase".split(
    " ",
  );
/** Order of QEMUCPUState's registers (QEMU target/i386/arch_dump.c, version 1), at 8 of the note. */
const QEMU_REGISTERS =
  "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split(" ");
const QEMU_SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr", "gdt", "idt"] as const;

const NT_PRSTATUS = 1;
const PRSTATUS_AT = 112;
const PRSTATUS_SIZE = 336;
const QEMU_SEGMENTS_AT = 8 + QEMU_REGISTERS.length * 8;
const QEMU_SEGMENT_SIZE = 24;
const QEMU_CONTROL_AT = QEMU_SEGMENTS_AT + QEMU_SEGMENTS.length * QEMU_SEGMENT_SIZE;
const QEMU_SIZE = QEMU_CONTROL_AT + 5 * 8;

/** A guest has at most 4,096 CPUs today; a hostile file could claim millions. */
const MAX_CPUS = 8192;
/** Two for each CPU, and some more. */
const MAX_NOTES = 3 * MAX_CPUS;

export type SegmentRegister = {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
};

/** One vCPU as the dump's notes show it. What no note tells is absent. */
export type CpuNote = {
  /** In the order of the notes, which is the order of the CPUs. */
  readonly cpu: number;
  /** `rax` … `r15`, `rip`, `rflags`; from a NT_PRSTATUS note also `fsBase`, `gsBase`. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** Only in QEMU's own note. */
  readonly control?: {
    readonly cr0: bigint;
    readonly cr2: bigint;
    readonly cr3: bigint;
    readonly cr4: bigint;
  };
  /** Only in QEMU's own note. */
  readonly segments?: Readonly<Record<(typeof QEMU_SEGMENTS)[number], SegmentRegister>>;
};

/**
 * What a dump says beside memory. Every word of it is a hint: the guest writes its VMCOREINFO
 * itself, and whoever holds the file may have changed the rest.
 */
export type DumpNotes = {
  readonly vmcoreinfo: string | undefined;
  readonly cpus: readonly CpuNote[];
};

export const NO_NOTES: DumpNotes = { vmcoreinfo: undefined, cpus: [] };

/** Reads the notes of an ELF core or of a kdump file's note section. */
export function dumpNotes(bytes: Uint8Array): DumpNotes {
  const status: CpuNote["registers"][] = [];
  const states: Omit<CpuNote, "cpu">[] = [];
  let vmcoreinfo: string | undefined;
  for (const note of elfNotes(bytes, MAX_NOTES)) {
    if (note.name === "VMCOREINFO") vmcoreinfo ??= vmcoreinfoText(note.data);
    else if (isStatus(note) && status.length < MAX_CPUS) status.push(prstatus(note.data));
    else if (isState(note) && states.length < MAX_CPUS) states.push(qemuState(note.data));
  }
  const count = Math.max(status.length, states.length);
  const cpus = Array.from({ length: count }, (_, cpu) => ({
    cpu,
    ...states[cpu],
    registers: { ...status[cpu], ...states[cpu]?.registers },
  }));
  return { vmcoreinfo, cpus };
}

/** The text of a VMCOREINFO note, without the padding that may follow it. */
export function vmcoreinfoText(content: Uint8Array): string {
  const end = content.indexOf(0);
  return Buffer.from(end < 0 ? content : content.subarray(0, end)).toString("latin1");
}

function isStatus(note: ElfNote): boolean {
  return note.name === "CORE" && note.type === NT_PRSTATUS && note.data.length === PRSTATUS_SIZE;
}

function isState(note: ElfNote): boolean {
  return note.name === "QEMU" && note.type === 0 && note.data.length >= QEMU_SIZE;
}

function prstatus(content: Uint8Array): Record<string, bigint> {
  return Object.fromEntries(
    PRSTATUS_REGISTERS.map((name, index) => [name, big64(content, PRSTATUS_AT + index * 8)]),
  );
}

function qemuState(content: Uint8Array): Omit<CpuNote, "cpu"> {
  const cr = (index: number): bigint => big64(content, QEMU_CONTROL_AT + index * 8);
  return {
    registers: Object.fromEntries(
      QEMU_REGISTERS.map((name, index) => [name, big64(content, 8 + index * 8)]),
    ),
    control: { cr0: cr(0), cr2: cr(2), cr3: cr(3), cr4: cr(4) },
    segments: qemuSegments(content),
  };
}

function qemuSegments(content: Uint8Array): NonNullable<CpuNote["segments"]> {
  const at = (name: (typeof QEMU_SEGMENTS)[number]): SegmentRegister => {
    const offset = QEMU_SEGMENTS_AT + QEMU_SEGMENTS.indexOf(name) * QEMU_SEGMENT_SIZE;
    return {
      selector: u32(content, offset),
      limit: u32(content, offset + 4),
      base: big64(content, offset + 16),
    };
  };
  return {
    cs: at("cs"),
    ds: at("ds"),
    es: at("es"),
    fs: at("fs"),
    gs: at("gs"),
    ss: at("ss"),
    ldt: at("ldt"),
    tr: at("tr"),
    gdt: at("gdt"),
    idt: at("idt"),
  };
}
