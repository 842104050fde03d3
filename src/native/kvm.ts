import koffi from "koffi";
import { closeSync, openSync } from "node:fs";
import { errnoName, libc } from "./libc.ts";
import { mapFile } from "./mmap.ts";
import type { Mapping } from "./mmap.ts";

// Safe for the requests below: each passes either a plain number or a buffer of the size that the request's
// number carries (include/uapi/linux/kvm.h).
const ioctlNumber = libc.func("int ioctl(int fd, unsigned long request, unsigned long argument)");
const ioctlBuffer = libc.func("int ioctl(int fd, unsigned long request, _Inout_ void *argument)");
const closeDescriptor = libc.func("int close(int fd)");

const KVM_GET_API_VERSION = 0xae00;
const KVM_CREATE_VM = 0xae01;
const KVM_GET_VCPU_MMAP_SIZE = 0xae04;
const KVM_GET_SUPPORTED_CPUID = 0xc008ae05;
const KVM_CREATE_VCPU = 0xae41;
const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const KVM_SET_TSS_ADDR = 0xae47;
const KVM_RUN = 0xae80;
const KVM_GET_REGS = 0x8090ae81;
const KVM_SET_REGS = 0x4090ae82;
const KVM_GET_SREGS = 0x8138ae83;
const KVM_SET_SREGS = 0x4138ae84;
const KVM_SET_CPUID2 = 0x4008ae90;

const KVM_EXIT_IO = 2;
const KVM_EXIT_HLT = 5;
const exitNames: Readonly<Record<number, string>> = {
  0: "unknown",
  1: "exception",
  2: "io",
  5: "hlt",
  6: "mmio",
  8: "shutdown",
  9: "fail-entry",
  10: "interrupted",
  17: "internal-error",
};
const suberrorNames: Readonly<Record<number, string>> = {
  1: "emulation failure",
  2: "simultaneous exceptions",
  3: "an event that could not be delivered",
  4: "an unexpected exit",
};

const RAM_SIZE = 0x20_0000;
const TABLES = 0x1000;

/** How a guest of a few bytes ended: what it wrote to the port, and then why its vCPU stopped. */
export type KvmRun = {
  /** The byte written to `port`, or undefined where the guest did not get there. */
  readonly told: number | undefined;
  /** `hlt` where it ended as it should, else KVM's exit reason, with the sub-error where there is one. */
  readonly exit: string;
  /** The instruction pointer at the end. */
  readonly rip: number;
};

export type KvmMode = "real" | "long";
export type KvmCode = {
  readonly mode: KvmMode;
  readonly address: number;
  readonly code: Uint8Array;
};

/**
 * Runs code on one vCPU with 2 MiB of RAM until it halts or fails. In long mode the RAM is mapped
 * onto itself. The code must not loop: the call is synchronous.
 * Returns the name of the failed step and errno (`KVM_CREATE_VM: EPERM`) where KVM itself refuses.
 */
export function runUnderKvm(guest: KvmCode, port: number): KvmRun | string {
  using stack = new DisposableStack();
  try {
    const kvm = openSync("/dev/kvm", "r+");
    stack.defer(() => closeSync(kvm));
    const version = ioctlNumber(kvm, KVM_GET_API_VERSION, 0) as number;
    if (version !== 12) return `KVM_GET_API_VERSION: ${version}, 12 expected`;
    return runOn(kvm, guest, port, stack);
  } catch (error) {
    return (error as Error).message;
  }
}

function runOn(kvm: number, guest: KvmCode, port: number, stack: DisposableStack): KvmRun {
  const vm = ask(kvm, "KVM_CREATE_VM", KVM_CREATE_VM, 0);
  stack.defer(() => closeDescriptor(vm));
  // Intel without unrestricted guests wants three pages of its own; elsewhere this does nothing.
  ask(vm, "KVM_SET_TSS_ADDR", KVM_SET_TSS_ADDR, 0xfffbd000);
  const ram = stack.use(zeroes(RAM_SIZE));
  const bytes = new Uint8Array(ram.buffer);
  bytes.set(guest.code, guest.address);
  ask(vm, "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, memoryRegion(bytes));
  const vcpu = ask(vm, "KVM_CREATE_VCPU", KVM_CREATE_VCPU, 0);
  stack.defer(() => closeDescriptor(vcpu));
  const runSize = ask(kvm, "KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE, 0);
  const run = stack.use(mapFile(vcpu, runSize, true));
  if (guest.mode === "long") {
    const cpuid = new Uint32Array(2 + 10 * 256);
    cpuid[0] = 256;
    ask(kvm, "KVM_GET_SUPPORTED_CPUID", KVM_GET_SUPPORTED_CPUID, cpuid);
    ask(vcpu, "KVM_SET_CPUID2", KVM_SET_CPUID2, cpuid);
    identityTables(new DataView(ram.buffer));
  }
  setRegisters(vcpu, guest);
  return runToEnd(vcpu, new DataView(run.buffer), port);
}

function runToEnd(vcpu: number, run: DataView, port: number): KvmRun {
  let told: number | undefined;
  for (;;) {
    ask(vcpu, "KVM_RUN", KVM_RUN, 0);
    const exit = run.getUint32(8, true);
    if (exit === KVM_EXIT_IO && told === undefined && run.getUint16(34, true) === port) {
      told = run.getUint8(Number(run.getBigUint64(40, true)));
      continue;
    }
    const registers = new BigUint64Array(18);
    ask(vcpu, "KVM_GET_REGS", KVM_GET_REGS, registers);
    const suberror = exit === 17 ? suberrorNames[run.getUint32(32, true)] : undefined;
    const name = exit === KVM_EXIT_HLT ? "hlt" : (exitNames[exit] ?? `exit ${exit}`);
    return {
      told,
      exit: suberror === undefined ? name : `${name} (${suberror})`,
      rip: Number(registers[16]),
    };
  }
}

/** struct kvm_userspace_memory_region: slot 0, no flags, from guest-physical 0 on. */
function memoryRegion(ram: Uint8Array): BigUint64Array {
  return new BigUint64Array([0n, 0n, BigInt(ram.byteLength), koffi.address(ram)]);
}

/** One 2-MiB page that stands for itself. */
function identityTables(ram: DataView): void {
  ram.setUint32(TABLES, (TABLES + 0x1000) | 3, true);
  ram.setUint32(TABLES + 0x1000, (TABLES + 0x2000) | 3, true);
  ram.setUint32(TABLES + 0x2000, 0x83, true);
}

function setRegisters(vcpu: number, guest: KvmCode): void {
  const special = new DataView(new ArrayBuffer(0x138));
  ask(vcpu, "KVM_GET_SREGS", KVM_GET_SREGS, special);
  if (guest.mode === "real") {
    setSegment(special, 0, { base: 0, selector: 0 });
  } else {
    // type, present, dpl, db, s, l, g of struct kvm_segment; CS first, then DS, ES, FS, GS, SS.
    setSegment(special, 0, { selector: 8, bits: [11, 1, 0, 0, 1, 1, 1] });
    for (const index of [1, 2, 3, 4, 5])
      setSegment(special, index, { selector: 16, bits: [3, 1, 0, 1, 1, 0, 1] });
    special.setBigUint64(224, 0x8000_0011n, true); // CR0: PG, ET, PE
    special.setBigUint64(240, BigInt(TABLES), true); // CR3
    special.setBigUint64(248, 0x20n, true); // CR4: PAE
    special.setBigUint64(264, 0x500n, true); // EFER: LMA, LME
  }
  ask(vcpu, "KVM_SET_SREGS", KVM_SET_SREGS, special);
  const registers = new BigUint64Array(18);
  registers[16] = BigInt(guest.address);
  registers[17] = 2n;
  ask(vcpu, "KVM_SET_REGS", KVM_SET_REGS, registers);
}

type Segment = {
  readonly base?: number;
  readonly selector: number;
  readonly bits?: readonly number[];
};

/** Fields of struct kvm_segment: base u64, limit u32, selector u16, then bytes. */
function setSegment(view: DataView, index: number, segment: Segment): void {
  const at = index * 24;
  view.setBigUint64(at, BigInt(segment.base ?? 0), true);
  view.setUint16(at + 12, segment.selector, true);
  if (segment.bits === undefined) return;
  view.setUint32(at + 8, 0xffff_ffff, true);
  for (const [index, bit] of segment.bits.entries()) view.setUint8(at + 14 + index, bit);
}

/** A shared mapping of /dev/zero, which is anonymous memory with an address of its own. */
function zeroes(size: number): Mapping {
  const fd = openSync("/dev/zero", "r+");
  try {
    return mapFile(fd, size, true);
  } finally {
    closeSync(fd);
  }
}

function ask(
  fd: number,
  name: string,
  request: number,
  argument: number | ArrayBufferView,
): number {
  const result = (
    typeof argument === "number"
      ? ioctlNumber(fd, request, argument)
      : ioctlBuffer(fd, request, argument)
  ) as number;
  if (result < 0) throw new Error(`${name}: ${errnoName()}`);
  return result;
}
