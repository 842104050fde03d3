/** FIRST_EXTERNAL_VECTOR (arch/x86/include/asm/irq_vectors.h): below are the processor's exceptions. */
export const FIRST_EXTERNAL_VECTOR = 0x20;
/** IA32_SYSCALL_VECTOR. */
export const SYSCALL_VECTOR = 0x80;

/**
 * What the entry points of exceptions are called behind `asm_exc_`, by vector
 * (arch/x86/include/asm/idtentry.h). Reserved vectors have none.
 */
export const EXCEPTIONS: readonly (string | undefined)[] = [
  "divide_error",
  "debug",
  "nmi",
  "int3",
  "overflow",
  "bounds",
  "invalid_op",
  "device_not_available",
  "double_fault",
  "coproc_segment_overrun",
  "invalid_tss",
  "segment_not_present",
  "stack_segment",
  "general_protection",
  "page_fault",
  "spurious_interrupt_bug",
  "coprocessor_error",
  "alignment_check",
  "machine_check",
  "simd_coprocessor_error",
  "virtualization_exception",
  "control_protection",
  ...Array.from({ length: 7 }, () => undefined),
  "vmm_communication",
];
