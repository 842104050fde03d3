import type { Check } from "./check.ts";
import { controlRegisters } from "./control-registers.ts";
import { idt } from "./idt.ts";
import { kernelPages } from "./kernel-pages.ts";
import { kernelRodata } from "./kernel-rodata.ts";
import { kernelText } from "./kernel-text.ts";
import { syscallDispatch } from "./syscall-dispatch.ts";
import { syscallTable } from "./syscall-table.ts";
import { ftrace } from "./ftrace.ts";
import { kprobes } from "./kprobes.ts";
import { tracepoints } from "./tracepoints.ts";
import { lsmHooks } from "./lsm-hooks.ts";
import { notifiers } from "./notifiers.ts";

/** Every check, in the order of a sweep. docs/findings has a page for each; a test holds the two together. */
export const checks: readonly Check[] = [
  kernelText,
  kernelRodata,
  kernelPages,
  syscallTable,
  syscallDispatch,
  idt,
  controlRegisters,
  ftrace,
  kprobes,
  tracepoints,
  lsmHooks,
  notifiers,
];
