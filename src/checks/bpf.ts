import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { bpfAttachments } from "../linux/bpf-attachments.ts";
import { bpfHelperCalls, listedPrograms } from "../linux/bpf-calls.ts";
import { bpfDescriptors } from "../linux/bpf-holders.ts";
import type { BpfDescriptor } from "../linux/bpf-holders.ts";
import { BpfPrograms, usedMaps } from "../linux/bpf-program.ts";
import { listSnapshot } from "../linux/list-snapshot.ts";
import { objectView } from "../linux/object-views.ts";
import type { ObjectView } from "../linux/object-views.ts";
import { XArrays } from "../linux/xarray.ts";
import type { Check, CheckContext } from "./check.ts";
import type { Confidence, Severity } from "./finding.ts";
import { sockets } from "./user-facts.ts";

/** BPF_OBJ_NAME_LEN. */
const MAX_NAME = 16;

type Danger = {
  readonly severity: Severity;
  readonly confidence: Confidence;
  readonly what: string;
};

/** Helpers that change what others see or do. Tracing and networking need none of them. */
const DANGEROUS: ReadonlyMap<string, Danger> = new Map<string, Danger>([
  [
    "fmod_ret",
    { severity: "medium", confidence: "medium", what: "changes what a kernel function returns" },
  ],
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
  [
    // A function of the kernel for programs, since 6.13.
    "bpf_send_signal_task",
    { severity: "low", confidence: "low", what: "sends signals to any process" },
  ],
]);

/** Where an object was seen: places, and pids of those that hold it. */
type Sighting = { readonly places: Set<string>; readonly pids: Set<number> };
type Kind = BpfDescriptor["kind"];

/** No eBPF program is hidden, and none has the means to lie to programs. */
export const bpf: Check = {
  id: "bpf",
  proves:
    "Each BPF program that has machine code, is run somewhere (cgroups, XDP, tc, tracing, perf, links, tail calls, sockets) or is held by a process is one that the kernel lists, and so is each map and link in use; and no program calls a helper that overwrites processes' memory, changes what functions return, or sends signals.",
  reads:
    "prog_idr, map_idr, link_idr; bpf_kallsyms; cgroup_bpf, net_device, tcf_proto, trace_event_call, perf_event, tracepoints, trampoline_table, sk_filter, descriptors; the instructions of each program",
  attack: ["T1014", "T1205"],
  limits:
    "What a program does with maps, packets and return values of its own hooks is not judged. Filters of tc below a classful qdisc are not followed.",
  run(context) {
    const { kernel } = context;
    if (context.without("bpf")) return;
    // First what is used, then the lists: an object is numbered before it is used.
    const seen = sightings(context);
    const programs = listed(context, "prog_idr");
    const look = { decoder: new BpfPrograms(kernel), budget: kernel.budget() };
    const hidden = reportHidden(context, "program", seen, programs);
    for (const program of programs.members.union(hidden)) {
      checkCalls(context, look, program, seen.program.get(program)?.pids);
      for (const map of usedMaps(kernel, program)) {
        sighting(seen.map, map).places.add(`program ${look.decoder.id(program)}`);
      }
    }
    const maps = reportHidden(context, "map", seen, listed(context, "map_idr"));
    const links = reportHidden(context, "link", seen, listed(context, "link_idr"));
    // The three lists were looked at too: many guests have no program.
    context.cover(3 + programs.members.size + hidden.size + maps.size + links.size);
  },
};

type Sightings = Readonly<Record<Kind, Map<GuestVirtual, Sighting>>>;

function sighting(known: Map<GuestVirtual, Sighting>, object: GuestVirtual): Sighting {
  const found = known.get(object) ?? { places: new Set<string>(), pids: new Set<number>() };
  known.set(object, found);
  return found;
}

/** Everything that is in use, without a look at the lists of what there is. */
function sightings(context: CheckContext): Sightings {
  const { kernel, facts } = context;
  const budget = kernel.budget();
  const problem = (reason: string): void => context.unseen(reason);
  const seen: Sightings = { program: new Map(), map: new Map(), link: new Map() };
  for (const program of withCode(context)) sighting(seen.program, program).places.add("code");
  for (const { kind, object, pid } of bpfDescriptors(kernel, budget, problem)) {
    sighting(seen[kind], object).pids.add(pid);
  }
  const maps = [...listed(context, "map_idr").members, ...seen.map.keys()];
  for (const { place, program } of bpfAttachments(kernel, maps, budget, problem)) {
    sighting(seen.program, program).places.add(place);
  }
  for (const { filter } of facts.get(sockets).rows) {
    // Classic filters are turned into programs that nobody lists.
    if (filter === undefined || filter.classic !== undefined || filter.tag === undefined) continue;
    sighting(seen.program, filter.program).places.add("a socket");
  }
  return seen;
}

/** What the kernel numbers. Links it does since 5.8: where it does not, none can be missing. */
function listed(context: CheckContext, symbol: string): ObjectView {
  const { kernel } = context;
  const idr = kernel.symbol(symbol);
  if (idr !== idr) return { members: new Set(), whole: false };
  const problem = (reason: string): void => context.unseen(reason);
  return objectView((fault) => {
    const entries = new XArrays(kernel).idrEntries(idr, kernel.budget(), fault);
    return Array.from(entries, ({ pointer }) => pointer);
  }, problem);
}

function* withCode(context: CheckContext): Generator<GuestVirtual> {
  const { kernel } = context;
  // Interpreted programs have no machine code of their own.
  if (context.without("BPF JIT")) return;
  const head = kernel.requireSymbol("bpf_kallsyms");
  const link = kernel.offset("bpf_ksym", "lnode");
  const problem = (reason: string): void => context.unseen(reason);
  yield* listedPrograms(kernel, listSnapshot(kernel, head, link, kernel.budget(), problem));
}

/** Reports what is in use and not listed; returns it. */
function reportHidden(
  context: CheckContext,
  kind: Kind,
  seen: Sightings,
  { members, whole }: ObjectView,
): Set<GuestVirtual> {
  const hidden = new Set<GuestVirtual>();
  if (!whole) return hidden;
  for (const [object, { places, pids }] of seen[kind]) {
    if (members.has(object)) continue;
    hidden.add(object);
    const at = context.kernel.format(object);
    const { text, ...details } = describe(context, kind, object);
    context.report({
      severity: "critical",
      confidence: "high",
      title: `BPF ${kind} ${text} is in use but not listed.`,
      subject: { hidden: at, kind },
      evidence: { ...details, object: at, seenBy: [...places], pids: [...pids] },
    });
  }
  return hidden;
}

function describe(
  { kernel }: CheckContext,
  kind: Kind,
  object: GuestVirtual,
): { readonly text: string; readonly [key: string]: string } {
  if (kind === "program") {
    const { name, type, tag } = new BpfPrograms(kernel).decode(object);
    return { text: `${name || tag} (${type})`, name, type, tag };
  }
  if (kind === "link") return { text: kernel.format(object) };
  const name = kernel.space.string(kernel.reader("bpf_map", "name")(object), MAX_NAME) ?? "";
  return { text: name || kernel.format(object), name };
}

function checkCalls(
  context: CheckContext,
  { decoder, budget }: { readonly decoder: BpfPrograms; readonly budget: Budget },
  program: GuestVirtual,
  pids: ReadonlySet<number> | undefined,
): void {
  const calls = bpfHelperCalls(context.kernel, program, budget);
  if (calls === undefined) {
    context.unseen("the instructions of a BPF program cannot be read");
    return;
  }
  if (modifiesReturn(context, decoder, program)) calls.add("fmod_ret");
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
        pids: [...(pids ?? [])],
        program: context.kernel.format(program),
      },
    });
  }
}

/** Attached by BPF_MODIFY_RETURN (5.7). The kernel's own program for input devices is (6.3 to 6.10). */
function modifiesReturn(
  { kernel }: CheckContext,
  decoder: BpfPrograms,
  program: GuestVirtual,
): boolean {
  const modify = kernel.types.enumerator("bpf_attach_type", "BPF_MODIFY_RETURN");
  if (modify === undefined) return false;
  const attached = kernel.reader("bpf_prog", "expected_attach_type")(program);
  if (attached !== modify) return false;
  return !/hid_bpf/.test(decoder.decode(program).attachFunction ?? "");
}
