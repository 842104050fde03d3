import { bpf } from "./bpf.ts";
import { changedCode } from "./changed-code.ts";
import { changedFileCache } from "./changed-file-cache.ts";
import type { Check } from "./check.ts";
import { controlRegisters } from "./control-registers.ts";
import { coveredProcesses } from "./covered-processes.ts";
import { cryptoMiner } from "./crypto-miner.ts";
import { deviceOperations } from "./device-operations.ts";
import { disguisedProcess } from "./disguised-process.ts";
import { forgedCredentials } from "./forged-credentials.ts";
import { ftrace } from "./ftrace.ts";
import { gdt } from "./gdt.ts";
import { helperPrograms } from "./helper-programs.ts";
import { generatedCode } from "./generated-code.ts";
import { hiddenModule } from "./hidden-module.ts";
import { hiddenProcess } from "./hidden-process.ts";
import { hiddenSocket } from "./hidden-socket.ts";
import { hiddenThread } from "./hidden-thread.ts";
import { idt } from "./idt.ts";
import { injectedCode } from "./injected-code.ts";
import { irqHandlers } from "./irq-handlers.ts";
import { kernelData } from "./kernel-data.ts";
import { kernelPages } from "./kernel-pages.ts";
import { kernelPointers } from "./kernel-pointers.ts";
import { kernelRodata } from "./kernel-rodata.ts";
import { kernelText } from "./kernel-text.ts";
import { kernelThreadFunctions } from "./kernel-thread-functions.ts";
import { kernelThreadImpostor } from "./kernel-thread-impostor.ts";
import { kprobes } from "./kprobes.ts";
import { livepatch } from "./livepatch.ts";
import { lsmHooks } from "./lsm-hooks.ts";
import { moduleText } from "./module-text.ts";
import { netfilter } from "./netfilter.ts";
import { notifiers } from "./notifiers.ts";
import { objectOperations } from "./object-operations.ts";
import { operationsTables } from "./operations-tables.ts";
import { packetHandlers } from "./packet-handlers.ts";
import { perfEvents } from "./perf-events.ts";
import { promiscuous } from "./promiscuous.ts";
import { preloadedLibraries } from "./preloaded-libraries.ts";
import { ptraceAttachments } from "./ptrace-attachments.ts";
import { registeredCallbacks } from "./registered-callbacks.ts";
import { removedTraces } from "./removed-traces.ts";
import { rootWithoutCause } from "./root-without-cause.ts";
import { securityModules } from "./security-modules.ts";
import { sharedCredentials } from "./shared-credentials.ts";
import { shellOnSocket } from "./shell-on-socket.ts";
import { socketFilters } from "./socket-filters.ts";
import { socketFunctions } from "./socket-functions.ts";
import { softirqs } from "./softirqs.ts";
import { stoppedGuard } from "./stopped-guard.ts";
import { syscallDispatch } from "./syscall-dispatch.ts";
import { syscallTable } from "./syscall-table.ts";
import { taintAndLockdown } from "./taint-and-lockdown.ts";
import { taskFunctions } from "./task-functions.ts";
import { taskFlags } from "./task-flags.ts";
import { textForms } from "./text-forms.ts";
import { timers } from "./timers.ts";
import { tracepoints } from "./tracepoints.ts";
import { ttyOperations } from "./tty-operations.ts";
import { unlistedProcess } from "./unlisted-process.ts";
import { uprobes } from "./uprobes.ts";
import { vanishedProgram } from "./vanished-program.ts";
import { vdso } from "./vdso.ts";
import { workQueues } from "./work-queues.ts";

/** Every check, in the order of a sweep. docs/findings has a page for each; a test holds the two together. */
export const checks: readonly Check[] = [
  kernelText,
  kernelRodata,
  kernelData,
  moduleText,
  textForms,
  generatedCode,
  vdso,
  kernelPages,
  syscallTable,
  syscallDispatch,
  idt,
  gdt,
  kernelPointers,
  controlRegisters,
  ftrace,
  kprobes,
  tracepoints,
  uprobes,
  perfEvents,
  livepatch,
  lsmHooks,
  securityModules,
  taintAndLockdown,
  notifiers,
  registeredCallbacks,
  irqHandlers,
  softirqs,
  timers,
  workQueues,
  kernelThreadFunctions,
  taskFunctions,
  hiddenProcess,
  hiddenThread,
  unlistedProcess,
  hiddenModule,
  hiddenSocket,
  sharedCredentials,
  forgedCredentials,
  rootWithoutCause,
  taskFlags,
  helperPrograms,
  vanishedProgram,
  kernelThreadImpostor,
  injectedCode,
  changedCode,
  changedFileCache,
  preloadedLibraries,
  ptraceAttachments,
  disguisedProcess,
  coveredProcesses,
  stoppedGuard,
  shellOnSocket,
  removedTraces,
  cryptoMiner,
  netfilter,
  packetHandlers,
  ttyOperations,
  operationsTables,
  objectOperations,
  deviceOperations,
  bpf,
  socketFilters,
  socketFunctions,
  promiscuous,
];

const shares = new Map(checks.map((check) => [check.id, check.shares ?? []]));

/** What the check of that id shares with others (`Check.shares`); nothing where it is not known. */
export function sharesOf(id: string): readonly string[] {
  return shares.get(id) ?? [];
}
