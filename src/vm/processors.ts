import type { GuestPhysical } from "../base/address.ts";
import type { CpuNote } from "../formats/cpu-notes.ts";
import { DumpMemory } from "../memory/dump-memory.ts";
import { connectQmp } from "../qmp/connection.ts";
import type { Guest } from "./guest.ts";
import { monitorFor } from "./monitor-choice.ts";

/** Registers of one vCPU that decide where it enters the kernel and how it is protected. */
export type ProcessorRegisters = {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly idtBase: bigint;
  readonly gdtBase: bigint;
  readonly efer: bigint | undefined;
  /** MSR_LSTAR, where it can be had. */
  readonly lstar: bigint | undefined;
};

/** The processors, or why they cannot be had. */
export type ProcessorSource =
  | { readonly processors: readonly ProcessorRegisters[] }
  | { readonly processorsMissing: string };

/** A monitor that serves somebody else keeps us waiting. */
const TIMEOUT_MS = 2000;
const MAX_PROCESSORS = 8192;
/** Bits 51 to 12 of CR3; below them is the PCID, above them flags (Intel SDM 3, 4.5). */
const CR3_ADDRESS = 0x000f_ffff_ffff_f000n;
const PTI_USER_PGTABLE = 0x1000n;

/** Registers of a target's processors: over QMP from a running QEMU, from the notes of a dump. */
export async function readProcessors({
  target,
  memory,
}: Pick<Guest, "target" | "memory">): Promise<ProcessorSource> {
  if (target.kind === "file") {
    return fromNotes(memory instanceof DumpMemory ? memory.notes.cpus : []);
  }
  const path = monitorFor(target.qemu);
  if (path === undefined) return missing("this QEMU has no QMP socket");
  try {
    using monitor = await connectQmp(path, { timeoutMs: TIMEOUT_MS });
    const processors = parseRegisters(await monitor.human("info registers -a"));
    return processors.length > 0 ? { processors } : missing("QEMU told no registers");
  } catch (error) {
    return missing(
      `QMP does not answer: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/**
 * The page-table roots that the processors use now, CR3 without its flags. With page-table isolation
 * the kernel's own root lies one page below the one of user mode (PTI_USER_PGTABLE_BIT in
 * arch/x86/entry/calling.h), so that is among them too. Empty where no processor can be asked.
 */
export async function readProcessorRoots(
  guest: Pick<Guest, "target" | "memory">,
): Promise<GuestPhysical[]> {
  const source = await readProcessors(guest);
  if (!("processors" in source)) return [];
  return source.processors.flatMap(({ cr3 }) => {
    const root = cr3 & CR3_ADDRESS;
    return [Number(root), Number(root & ~PTI_USER_PGTABLE)];
  });
}

function missing(processorsMissing: string): ProcessorSource {
  return { processorsMissing };
}

/** QEMU's own note has control registers and tables, but no MSR; other notes have none of them. */
function fromNotes(cpus: readonly CpuNote[]): ProcessorSource {
  const processors = cpus.flatMap(({ control, segments }) =>
    control === undefined || segments === undefined
      ? []
      : [
          {
            cr0: control.cr0,
            cr3: control.cr3,
            cr4: control.cr4,
            idtBase: segments.idt.base,
            gdtBase: segments.gdt.base,
            efer: undefined,
            lstar: undefined,
          },
        ],
  );
  return processors.length > 0 ? { processors } : missing("the dump has no registers");
}

/**
 * What `info registers -a` prints (QEMU target/i386/cpu-dump.c), a part for each CPU. Left out is a
 * CPU of which not all was printed, and one in system-management mode: that runs firmware.
 */
export function parseRegisters(text: string): ProcessorRegisters[] {
  const parts = text.split(/^CPU#\d+/m).slice(1, MAX_PROCESSORS + 1);
  return parts.flatMap((part) => {
    const value = (pattern: RegExp): bigint | undefined => {
      const digits = pattern.exec(part)?.[1];
      return digits === undefined ? undefined : BigInt(`0x${digits}`);
    };
    const cr0 = value(/\bCR0=([0-9a-f]{8,16})/);
    const cr3 = value(/\bCR3=([0-9a-f]{8,16})/);
    const cr4 = value(/\bCR4=([0-9a-f]{8,16})/);
    const idtBase = value(/\bIDT= +([0-9a-f]{8,16})/);
    const gdtBase = value(/\bGDT= +([0-9a-f]{8,16})/);
    if (cr0 === undefined || cr3 === undefined || cr4 === undefined) return [];
    if (idtBase === undefined || gdtBase === undefined || /\bSMM=1/.test(part)) return [];
    const efer = value(/\bEFER=([0-9a-f]{8,16})/);
    return [{ cr0, cr3, cr4, idtBase, gdtBase, efer, lstar: undefined }];
  });
}
