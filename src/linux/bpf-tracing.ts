import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { arrayPrograms } from "./bpf-attachment.ts";
import type { BpfAttachment } from "./bpf-attachment.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { perfEvents } from "./perf-event.ts";
import { tracepointProbes } from "./tracepoint.ts";

/** TRAMPOLINE_TABLE_SIZE (kernel/bpf/trampoline.c). */
const TABLE_SIZE = 1024;
/** Functions with a trampoline and programs in them, all told; damaged lists may run for long. */
const MOST_TRACED = 200_000;

/** Programs at events, perf events, raw tracepoints and in the trampolines of traced functions. */
export function* tracingPrograms(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<BpfAttachment> {
  yield* eventPrograms(kernel, budget, problem);
  for (const { program, event } of perfEvents(kernel, budget, problem)) {
    if (program < 0) yield { place: "a perf event", program };
    const call = kernel.readerOf("perf_event", "tp_event")?.(event) ?? 0;
    if (call < 0) yield* callPrograms(kernel, call, "a probe of perf");
  }
  yield* rawTracepoints(kernel, problem);
  yield* trampolines(kernel, budget.part(MOST_TRACED), problem);
}

/** Of the kernel's and modules' events (`ftrace_events`, struct trace_event_call). */
function* eventPrograms(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<BpfAttachment> {
  const head = kernel.symbol("ftrace_events");
  if (head !== head || !kernel.types.has("trace_event_call", "prog_array")) return;
  const link = kernel.offset("trace_event_call", "list");
  for (const call of listSnapshot(kernel, head, link, budget, problem)) {
    yield* callPrograms(kernel, call, "an event");
  }
}

function callPrograms(kernel: Kernel, call: GuestVirtual, place: string): Generator<BpfAttachment> {
  const array = kernel.readerOf("trace_event_call", "prog_array")?.(call) ?? 0;
  return arrayPrograms(kernel, array, place);
}

/** The data of such a probe is the program, since 6.10 the link that holds it (bpf_probe_register). */
function* rawTracepoints(kernel: Kernel, problem: Problem): Generator<BpfAttachment> {
  const isLink = kernel.types.has("bpf_raw_tp_link", "cookie");
  const program = kernel.readerOf("bpf_raw_tp_link", "link.prog");
  for (const probe of tracepointProbes(kernel, problem, () => {})) {
    const { name, target, role, data } = probe;
    const at = role === "probe" ? kernel.symbols.at(target) : undefined;
    if (at?.name.startsWith("__bpf_trace_") !== true || !(data < 0)) continue;
    yield {
      place: `tracepoint ${name}`,
      program: isLink && program !== undefined ? program(data) : data,
    };
  }
}

/** Programs that run before, after or instead of a function (struct bpf_trampoline, since 5.5). */
function* trampolines(kernel: Kernel, budget: Budget, problem: Problem): Generator<BpfAttachment> {
  const { types } = kernel;
  // Since 7.1 there are two tables, by address and by key, and each trampoline is in both.
  const link = ["hlist_ip", "hlist"].find((member) => types.has("bpf_trampoline", member));
  const table = kernel.symbol(link === "hlist" ? "trampoline_table" : "trampoline_ip_table");
  const node = trampolineNode(kernel);
  if (table !== table || link === undefined || node === undefined) return;
  const lists = kernel.offset("bpf_trampoline", "progs_hlist");
  const kinds = types.length("bpf_trampoline", "progs_hlist");
  const address = kernel.addressReader("bpf_trampoline", "func.addr");
  const extension = kernel.reader("bpf_trampoline", "extension_prog");
  const offset = kernel.offset("bpf_trampoline", link);
  for (let bucket = 0; bucket < TABLE_SIZE; bucket++) {
    const head = table + bucket * 8;
    if (kernel.space.pointer(head) === 0) continue;
    for (const trampoline of hlistEntries(kernel, head, offset, budget, problem)) {
      const place = `trampoline of ${kernel.symbols.at(address(trampoline))?.name ?? "a program"}`;
      if (extension(trampoline) < 0) yield { place, program: extension(trampoline) };
      for (let kind = 0; kind < kinds; kind++) {
        const list = trampoline + lists + kind * 8;
        for (const each of hlistEntries(kernel, list, node.link, budget, problem)) {
          yield { place, program: node.program(each) };
        }
      }
    }
  }
}

/** What the lists of a trampoline hold: nodes of links (7.1), links (6.0), programs' own part before. */
function trampolineNode(
  kernel: Kernel,
): { readonly link: number; readonly program: Reader } | undefined {
  const { types } = kernel;
  if (types.has("bpf_tramp_node", "tramp_hlist")) {
    const holder = kernel.reader("bpf_tramp_node", "link");
    const program = kernel.reader("bpf_link", "prog");
    const link = kernel.offset("bpf_tramp_node", "tramp_hlist");
    return { link, program: (node) => program(holder(node)) };
  }
  for (const [struct, path] of [
    ["bpf_tramp_link", "link.prog"],
    ["bpf_prog_aux", "prog"],
  ] as const) {
    if (!types.has(struct, "tramp_hlist")) continue;
    return { link: kernel.offset(struct, "tramp_hlist"), program: kernel.reader(struct, path) };
  }
  return undefined;
}
