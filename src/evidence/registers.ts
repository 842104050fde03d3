/** A segment register with its hidden part. */
export type SegmentState = {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
  readonly flags: number;
};

/** One vCPU, by QEMU's names: `RAX` … `R15`, `RIP`, `RFL`, `CR0` … `CR4`, `EFER`. */
export type ProcessorState = {
  readonly registers: Readonly<Record<string, bigint>>;
  readonly segments: Readonly<Record<string, SegmentState>>;
};

const GENERAL = /\b(R[A-Z0-9]{1,2}|RFL|CR[0-8]|EFER) ?=([0-9a-f]{8,16})\b/g;
const SEGMENT =
  /^(ES|CS|SS|DS|FS|GS|LDT|TR) ?=([0-9a-f]{4}) ([0-9a-f]{16}) ([0-9a-f]{8}) ([0-9a-f]{8})/gm;
const TABLE = /^(GDT|IDT)= +([0-9a-f]{16}) ([0-9a-f]{8})/gm;

/** Reads what QEMU's `info registers -a` prints for each vCPU (target/i386/cpu-dump.c). */
export function parseRegisters(text: string): ProcessorState[] {
  return text
    .split(/^CPU#\d+$/m)
    .slice(1)
    .map((part) => ({
      registers: Object.fromEntries(
        [...part.matchAll(GENERAL)].map(([, name, value]) => [name, BigInt(`0x${value}`)]),
      ),
      segments: Object.fromEntries([...segments(part), ...tables(part)]),
    }));
}

function segments(part: string): [string, SegmentState][] {
  return [...part.matchAll(SEGMENT)].map(([, name, selector, base, limit, flags]) => [
    name,
    {
      selector: Number.parseInt(selector, 16),
      base: BigInt(`0x${base}`),
      limit: Number.parseInt(limit, 16),
      flags: Number.parseInt(flags, 16),
    },
  ]);
}

function tables(part: string): [string, SegmentState][] {
  return [...part.matchAll(TABLE)].map(([, name, base, limit]) => [
    name,
    { selector: 0, base: BigInt(`0x${base}`), limit: Number.parseInt(limit, 16), flags: 0 },
  ]);
}
