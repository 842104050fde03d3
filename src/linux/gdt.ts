import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { PerCpu } from "./per-cpu.ts";

/** What one processor's segment table and task-state segment hold. */
export type SegmentTable = {
  readonly cpu: number;
  /** Where its `gdt_page` lies. */
  readonly address: GuestVirtual;
  /** GDT_ENTRIES descriptors of 8 bytes; undefined where they cannot be read. */
  readonly entries: readonly bigint[] | undefined;
  /** Something but zeros stands behind the table in its page. */
  readonly beyond: boolean;
  /** Its `cpu_tss_rw`, as the kernel writes it. */
  readonly tss: GuestVirtual;
  readonly stacks: readonly Stack[];
};

/** A stack that the processor takes by itself at an entry: `sp0`, or one of the interrupt stacks. */
export type Stack = { readonly name: string; readonly top: GuestVirtual };

/** GDT_ENTRIES (arch/x86/include/asm/segment.h), on 64-bit machines since 2.6. */
export const GDT_ENTRIES = 16;
const PAGE = 4096;
const IST_ENTRIES = 7;

/** One for each processor that may run (struct gdt_page, arch/x86/include/asm/desc.h). */
export function segmentTables(kernel: Kernel): SegmentTable[] {
  const page = kernel.requireSymbol("gdt_page");
  const tss = kernel.requireSymbol("cpu_tss_rw");
  const sp0 = kernel.offset("tss_struct", "x86_tss.sp0");
  const ist = kernel.offset("tss_struct", "x86_tss.ist");
  return new PerCpu(kernel).cpus.map((cpu) => {
    const address = kernel.perCpu(page, cpu);
    const bytes = kernel.space.bytes(address, PAGE);
    const own = kernel.perCpu(tss, cpu);
    const stacks = Array.from({ length: IST_ENTRIES }, (_, index) => ({
      name: `ist${index + 1}`,
      top: kernel.space.pointer(own + ist + index * 8),
    }));
    return {
      cpu,
      address,
      entries: bytes && descriptors(bytes),
      beyond: bytes?.subarray(GDT_ENTRIES * 8).some((byte) => byte !== 0) ?? false,
      tss: own,
      stacks: [{ name: "sp0", top: kernel.space.pointer(own + sp0) }, ...stacks],
    };
  });
}

function descriptors(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: GDT_ENTRIES }, (_, index) => view.getBigUint64(index * 8, true));
}

/** A segment descriptor's access byte: present, privilege, system or not, type (Intel SDM 3, 3.4.5). */
export function accessOf(descriptor: bigint): number {
  return Number((descriptor >> 40n) & 0xffn);
}

/** Base of a system descriptor of 16 bytes, given as its two halves (Intel SDM 3, 7.2.3). */
export function systemBase(low: bigint, high: bigint): bigint {
  const base = ((low >> 16n) & 0xff_ffffn) | (((low >> 56n) & 0xffn) << 24n);
  return base | ((high & 0xffff_ffffn) << 32n);
}
