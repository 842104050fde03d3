/**
 * A bare-metal guest of a few bytes, for asking an accelerator what it can run.
 *
 * A hypervisor without hardware virtualization of its own may emulate real mode and still fail at
 * what every Linux does in its first millisecond. So the guest goes the kernel's early way (as
 * arch/x86/boot/compressed/head_64.S and arch/x86/kernel/head_64.S do): protected mode, paging, long mode, its
 * own GDT, TSS and IDT, an exception, MSRs, CPUID, SSE2, a TLB flush. It tells its end on a port.
 */

/** The port of QEMU's isa-debug-exit, and the byte written there when all went well. */
export const tellPort = 0xf4;
export const wellDone = 0x21;

/** Where the long-mode part runs (any address works: it is position-independent). */
export const payloadAddress = 0x80d0;

// From the reset vector at 0xfffffff0 into long mode. Real mode first.
const boot = `
  fa                                cli
  2e 66 0f 01 16 a4 00              lgdtl %cs:0xa4
  0f 20 c0                          mov %cr0,%eax
  0c 01                             or $0x1,%al
  0f 22 c0                          mov %eax,%cr0
  66 ea 18 00 ff ff 08 00           ljmpl $0x8,$0xffff0018
  # protected mode
  b8 10 00 00 00                    mov $0x10,%eax
  8e d8                             mov %eax,%ds
  8e c0                             mov %eax,%es
  8e d0                             mov %eax,%ss
  # three levels of page tables: the first 2 MiB stand for themselves
  bf 00 10 00 00                    mov $0x1000,%edi
  31 c0                             xor %eax,%eax
  b9 00 0c 00 00                    mov $0xc00,%ecx
  f3 ab                             rep stosl
  c7 05 00 10 00 00 03 20 00 00     movl $0x2003,0x1000
  c7 05 00 20 00 00 03 30 00 00     movl $0x3003,0x2000
  c7 05 00 30 00 00 83 00 00 00     movl $0x83,0x3000
  # go on in RAM, where paging will show the same addresses
  be 00 00 ff ff                    mov $0xffff0000,%esi
  bf 00 80 00 00                    mov $0x8000,%edi
  b9 00 04 00 00                    mov $0x400,%ecx
  f3 a5                             rep movsl
  ea 67 80 00 00 08 00              ljmp $0x8,$0x8067
  0f 01 15 aa 80 00 00              lgdtl 0x80aa
  b8 00 10 00 00                    mov $0x1000,%eax
  0f 22 d8                          mov %eax,%cr3
  # CR4.PAE, EFER.LME, CR0.PG: long mode
  0f 20 e0                          mov %cr4,%eax
  83 c8 20                          or $0x20,%eax
  0f 22 e0                          mov %eax,%cr4
  b9 80 00 00 c0                    mov $0xc0000080,%ecx
  0f 32                             rdmsr
  0d 00 01 00 00                    or $0x100,%eax
  0f 30                             wrmsr
  0f 20 c0                          mov %cr0,%eax
  25 ff ff ff 1f                    and $0x1fffffff,%eax
  0d 00 00 00 80                    or $0x80000000,%eax
  0f 22 c0                          mov %eax,%cr0
  ea d0 80 00 00 18 00              ljmp $0x18,$0x80d0
  # two descriptors of the table below: by its address in the ROM, and in RAM
  1f 00 b0 00 ff ff                 .word 0x1f; .long 0xffff00b0
  1f 00 b0 80 00 00                 .word 0x1f; .long 0x80b0
  # GDT: null, 32-bit code, data, 64-bit code
  00 00 00 00 00 00 00 00           .quad 0
  ff ff 00 00 00 9b cf 00           .quad 0x00cf9b000000ffff
  ff ff 00 00 00 93 cf 00           .quad 0x00cf93000000ffff
  ff ff 00 00 00 9b af 00           .quad 0x00af9b000000ffff
`;

// In long mode, on the page tables that map the first 2 MiB onto themselves.
const payload = `
  bc 00 70 00 00                    mov $0x7000,%esp
  # a cleared page for the descriptor tables
  bf 00 60 00 00                    mov $0x6000,%edi
  31 c0                             xor %eax,%eax
  b9 00 04 00 00                    mov $0x400,%ecx
  f3 ab                             rep stos %eax,%es:(%rdi)
  # GDT: 64-bit code, data, task state
  48 b8 ff ff 00 00 00 9b af 00     movabs $0xaf9b000000ffff,%rax
  48 89 04 25 08 60 00 00           mov %rax,0x6008
  48 b8 ff ff 00 00 00 93 cf 00     movabs $0xcf93000000ffff,%rax
  48 89 04 25 10 60 00 00           mov %rax,0x6010
  48 b8 67 00 00 63 00 89 00 00     movabs $0x890063000067,%rax
  48 89 04 25 18 60 00 00           mov %rax,0x6018
  # load it, and reload every segment through it
  66 c7 04 25 00 61 00 00 27 00     movw $0x27,0x6100
  c7 04 25 02 61 00 00 00 60 00 00  movl $0x6000,0x6102
  0f 01 14 25 00 61 00 00           lgdt 0x6100
  6a 08                             push $0x8
  48 8d 05 03 00 00 00              lea reloaded(%rip),%rax
  50                                push %rax
  48 cb                             lretq
  b8 10 00 00 00                    mov $0x10,%eax
  8e d8                             mov %eax,%ds
  8e c0                             mov %eax,%es
  8e d0                             mov %eax,%ss
  # the task register
  b8 18 00 00 00                    mov $0x18,%eax
  0f 00 d8                          ltr %ax
  # IDT: gate 3 leads to the handler
  48 8d 05 cc 00 00 00              lea handler(%rip),%rax
  66 89 04 25 30 64 00 00           mov %ax,0x6430
  66 c7 04 25 32 64 00 00 08 00     movw $0x8,0x6432
  66 c7 04 25 34 64 00 00 00 8e     movw $0x8e00,0x6434
  48 c1 e8 10                       shr $0x10,%rax
  66 89 04 25 36 64 00 00           mov %ax,0x6436
  48 c1 e8 10                       shr $0x10,%rax
  89 04 25 38 64 00 00              mov %eax,0x6438
  66 c7 04 25 10 61 00 00 3f 00     movw $0x3f,0x6110
  c7 04 25 12 61 00 00 00 64 00 00  movl $0x6400,0x6112
  0f 01 1c 25 10 61 00 00           lidt 0x6110
  31 f6                             xor %esi,%esi
  # an exception, delivered and returned from
  cc                                int3
  83 fe 01                          cmp $0x1,%esi
  75 78                             jne wrong
  # model-specific registers: EFER.SCE and LSTAR, as system calls need them
  b9 80 00 00 c0                    mov $0xc0000080,%ecx
  0f 32                             rdmsr
  83 c8 01                          or $0x1,%eax
  0f 30                             wrmsr
  b9 82 00 00 c0                    mov $0xc0000082,%ecx
  31 d2                             xor %edx,%edx
  b8 00 50 00 00                    mov $0x5000,%eax
  0f 30                             wrmsr
  31 c0                             xor %eax,%eax
  # CPUID answers
  0f a2                             cpuid
  85 c0                             test %eax,%eax
  74 56                             je wrong
  # x87 and SSE2: 21 + 21
  0f 20 c0                          mov %cr0,%rax
  83 e0 fb                          and $0xfffffffb,%eax
  83 c8 02                          or $0x2,%eax
  0f 22 c0                          mov %rax,%cr0
  0f 20 e0                          mov %cr4,%rax
  0d 00 06 00 00                    or $0x600,%eax
  0f 22 e0                          mov %rax,%cr4
  db e3                             fninit
  b8 15 00 00 00                    mov $0x15,%eax
  66 48 0f 6e c0                    movq %rax,%xmm0
  66 0f d4 c0                       paddq %xmm0,%xmm0
  66 0f 70 c8 44                    pshufd $0x44,%xmm0,%xmm1
  66 0f 6d c9                       punpckhqdq %xmm1,%xmm1
  66 48 0f 7e c8                    movq %xmm1,%rax
  83 f8 2a                          cmp $0x2a,%eax
  75 1c                             jne wrong
  # flush the TLB, swap GS
  0f 20 d8                          mov %cr3,%rax
  0f 22 d8                          mov %rax,%cr3
  0f 01 3c 25 00 60 00 00           invlpg 0x6000
  0f 01 f8                          swapgs
  0f 01 f8                          swapgs
  # all went well
  b0 21                             mov $0x21,%al
  eb 06                             jmp tell
  # handler:
  ff c6                             inc %esi
  48 cf                             iretq
  # wrong:
  b0 22                             mov $0x22,%al
  # tell:
  e6 f4                             out %al,$0xf4
  # halt:
  f4                                hlt
  eb fd                             jmp halt
`;

const realMode = `
  b0 21                             mov $0x21,%al
  e6 f4                             out %al,$0xf4
  f4                                hlt
`;

type Instruction = { readonly offset: number; readonly bytes: Uint8Array; readonly text: string };

function assemble(listing: string): Instruction[] {
  const instructions: Instruction[] = [];
  let offset = 0;
  for (const line of listing.split("\n")) {
    const match = /^ {2}((?:[0-9a-f]{2} )+) +(.*)$/.exec(line);
    if (match === null) continue;
    const bytes = Buffer.from(match[1]!.replaceAll(" ", ""), "hex");
    instructions.push({ offset, bytes, text: match[2]! });
    offset += bytes.length;
  }
  return instructions;
}

function bytesOf(listing: string): Uint8Array {
  return Buffer.concat(assemble(listing).map((instruction) => instruction.bytes));
}

/** Real-mode code that tells {@link wellDone} and halts. */
export function realModeCode(): Uint8Array {
  return bytesOf(realMode);
}

/** The long-mode part alone, for a vCPU that is put into long mode from outside. */
export function longModeCode(): Uint8Array {
  return bytesOf(payload);
}

/** The instruction at that offset of {@link longModeCode}, or undefined inside or outside of one. */
export function longModeInstruction(offset: number): string | undefined {
  return assemble(payload).find((instruction) => instruction.offset === offset)?.text;
}

/** A 64-KiB firmware image for QEMU's `-bios`: reset vector, boot part, long-mode part. */
export function firmwareImage(): Uint8Array {
  const image = new Uint8Array(0x10000);
  image.set(bytesOf(boot), 0);
  image.set(longModeCode(), payloadAddress - 0x8000);
  // jmp 0, sixteen bytes below the end, where an x86 starts.
  image.set([0xe9, 0x0d, 0x00], 0xfff0);
  return image;
}
