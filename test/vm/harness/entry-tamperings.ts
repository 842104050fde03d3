import { segmentTables } from "../../../src/linux/gdt.ts";
import { nobody } from "./code-tamperings.ts";
import type { CodeTampering } from "./code-tamperings.ts";

/** Changes of what processors and the kernel enter code through. */
export const entryTamperings: readonly CodeTampering[] = [
  {
    title: "a call gate for user programs in the segment table",
    check: "gdt",
    tamper: (kernel, editor) => {
      const table = segmentTables(kernel)[0];
      return editor.writeHex(table.address + 7 * 8, "0000 1000 00ec 0000");
    },
    says: /Entry 7 of processor 0's segment table is a call gate/,
  },
  {
    title: "a segment behind the table's end",
    check: "gdt",
    tamper: (kernel, editor) => {
      const table = segmentTables(kernel)[0];
      return editor.writeHex(table.address + 20 * 8, "ffff 0000 009b af00");
    },
    says: /Entry 16 of processor 0/,
  },
  {
    title: "the code that wakes processors",
    check: "kernel-text",
    tamper: (kernel, editor) => {
      const start = kernel.space.pointer(kernel.requireSymbol("real_mode_header"));
      return editor.writeHex(start + 0x1100, "0f05c3");
    },
    says: /Code that wakes processors was changed/,
  },
  {
    title: "an interrupt stack elsewhere",
    check: "gdt",
    tamper: (kernel, editor) => {
      const ist = kernel.offset("tss_struct", "x86_tss.ist");
      const stack = kernel.requireSymbol("init_task");
      return editor.writePointer(segmentTables(kernel)[0].tss + ist + 6 * 8, stack);
    },
    says: /entry stack ist7 of processor 0.*init_task/s,
  },
  {
    title: "a platform operation that leads to nobody",
    check: "kernel-pointers",
    tamper: (kernel, editor) => {
      const member = kernel.offset("x86_platform_ops", "save_sched_clock_state");
      return editor.writePointer(kernel.requireSymbol("x86_platform") + member, nobody(kernel));
    },
    says: /save_sched_clock_state of x86_platform leads to memory of nobody/,
  },
  {
    title: "a static call's key that leads into the middle of a function",
    check: "kernel-pointers",
    tamper: (kernel, editor) => {
      const func = kernel.offset("static_call_key", "func");
      const key = kernel.requireSymbol("__SCK__tp_func_sched_kthread_stop");
      return editor.writePointer(key + func, kernel.requireSymbol("commit_creds") + 8);
    },
    says: /static call tp_func_sched_kthread_stop leads to the middle of a kernel function/,
  },
];
