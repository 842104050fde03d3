import type { GuestVirtual } from "../base/address.ts";
import { bpfHelperCalls, listedPrograms } from "../linux/bpf-calls.ts";
import { BpfPrograms } from "../linux/bpf-program.ts";
import { listSnapshot } from "../linux/list-snapshot.ts";
import { XArrays } from "../linux/xarray.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Confidence, Severity } from "./finding.ts";

type Danger = {
  readonly severity: Severity;
  readonly confidence: Confidence;
  readonly what: string;
};

/** Helpers that change what others see or do. Tracing and networking need none of them. */
const DANGEROUS: ReadonlyMap<string, Danger> = new Map<string, Danger>([
  [
    "bpf_probe_write_user",
    { severity: "high", confidence: "medium", what: "overwrites the memory of processes" },
  ],
  [
    "bpf_override_return",
    { severity: "high", confidence: "medium", what: "changes what kernel functions return" },
  ],
  ["bpf_send_signal", { severity: "low", confidence: "low", what: "sends signals to processes" }],
  [
    "bpf_send_signal_thread",
    { severity: "low", confidence: "low", what: "sends signals to threads" },
  ],
]);

/** No eBPF program is hidden, and none has the means to lie to programs. */
export const bpf: Check = {
  id: "bpf",
  proves:
    "Each BPF program that has machine code is one that the kernel lists, and none calls a helper that overwrites processes' memory, changes what functions return, or sends signals.",
  reads: "prog_idr, bpf_kallsyms, the instructions of each program",
  attack: ["T1014", "T1205"],
  limits:
    "What a program does with maps, packets and return values of its own hooks is not judged. Programs taken out of both lists show as ownerless pages only where they had pages of their own.",
  run(context) {
    const { kernel } = context;
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    // First those with code, since a program is numbered before it gets some.
    const running = new Set(withCode(context));
    const programs = new Set<GuestVirtual>();
    const idr = kernel.requireSymbol("prog_idr");
    for (const { pointer } of new XArrays(kernel).idrEntries(idr, budget, problem)) {
      programs.add(pointer);
    }
    const hidden = running.difference(programs);
    const decoder = new BpfPrograms(kernel);
    for (const program of hidden) reportHidden(context, decoder, program);
    for (const program of programs.union(hidden)) checkCalls(context, decoder, program);
    context.cover(programs.size + hidden.size);
  },
};

function* withCode(context: CheckContext): Generator<GuestVirtual> {
  const { kernel } = context;
  const head = kernel.requireSymbol("bpf_kallsyms");
  const link = kernel.offset("bpf_ksym", "lnode");
  const problem = (reason: string): void => context.unseen(reason);
  yield* listedPrograms(kernel, listSnapshot(kernel, head, link, kernel.budget(), problem));
}

function reportHidden(context: CheckContext, decoder: BpfPrograms, program: GuestVirtual): void {
  const { name, type, tag } = decoder.decode(program);
  context.report({
    severity: "critical",
    confidence: "high",
    title: `BPF program ${name || tag} (${type}) is loaded but not listed.`,
    subject: { hidden: context.kernel.format(program), tag },
    evidence: { name, type, tag, program: context.kernel.format(program) },
  });
}

function checkCalls(context: CheckContext, decoder: BpfPrograms, program: GuestVirtual): void {
  const calls = bpfHelperCalls(context.kernel, program);
  if (calls === undefined) {
    context.unseen("the instructions of a BPF program cannot be read");
    return;
  }
  for (const call of calls) {
    const danger = DANGEROUS.get(call);
    if (danger === undefined) continue;
    const { id, name, type, tag, uid, attachFunction } = decoder.decode(program);
    context.report({
      severity: danger.severity,
      confidence: danger.confidence,
      title: `BPF program ${name || tag} (${type}) ${danger.what}.`,
      subject: { tag, name, helper: call },
      evidence: {
        helper: call,
        id,
        type,
        uid,
        attachedTo: attachFunction ?? null,
        program: context.kernel.format(program),
      },
    });
  }
}
