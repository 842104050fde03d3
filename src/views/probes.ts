import { KvmsecError } from "../base/errors.ts";
import type { GuestVirtual } from "../base/address.ts";
import { CodeOwners } from "../linux/code-owner.ts";
import { ftraceUsers } from "../linux/ftrace.ts";
import { InodePaths } from "../linux/inode-path.ts";
import type { Kernel } from "../linux/kernel.ts";
import { kprobeHandlers } from "../linux/kprobe-handlers.ts";
import { livepatches } from "../linux/livepatch.ts";
import { perfEvents } from "../linux/perf-event.ts";
import { tracepointProbes } from "../linux/tracepoint.ts";
import { uprobes } from "../linux/uprobe.ts";
import type { Problem, View } from "./view.ts";

export type ProbeKind = "kprobe" | "uprobe" | "tracepoint" | "ftrace" | "perf" | "livepatch";

/** A function that is called, or put in place, where another one runs. */
export type ProbeRow = {
  readonly kind: ProbeKind;
  /** Where: `vfs_read+0x4`, `/usr/bin/bash+0x1234`, a tracepoint's name, what perf counts. */
  readonly place: string;
  /** What the function is for: `pre_handler`, `probe`, `callback`, `replacement`. */
  readonly role: string;
  readonly target: GuestVirtual;
  /** As the kernel prints it: `kprobe_dispatcher`, `kpatch_foo [kpatch]`. */
  readonly symbol: string;
  /** `vmlinux`, a module's name, `bpf`, `ftrace`; undefined for nobody. */
  readonly owner: string | undefined;
  /** The struct that leads to it. */
  readonly probe: GuestVirtual;
};

export type ProbeSelection = { readonly kind?: readonly ProbeKind[] };

type Found = Omit<ProbeRow, "symbol" | "owner" | "kind">;
type Reader = (kernel: Kernel, owners: CodeOwners, problem: Problem) => Iterable<Found>;

/** Names of one file that are looked at: a damaged list of them may run for long. */
const MOST_NAMES = 1024;

/** PERF_TYPE_* (include/uapi/linux/perf_event.h); higher ones are performance units' own. */
const PERF_TYPES = ["hardware", "software", "tracepoint", "cache", "raw", "breakpoint"];

const READERS: Readonly<Record<ProbeKind, Reader>> = {
  kprobe: function* (kernel, owners, problem) {
    for (const { probe, address, name, target } of kprobeHandlers(kernel, problem)) {
      yield { place: owners.describe(address), role: name, target, probe };
    }
  },
  uprobe: function* (kernel, _owners, problem) {
    const budget = kernel.budget();
    let paths: InodePaths | undefined;
    for (const { inode, offset, handlers } of uprobes(kernel, budget, problem)) {
      paths ??= new InodePaths(kernel, budget, problem);
      const file = paths.all(inode, budget.part(MOST_NAMES))[0] ?? `inode ${kernel.format(inode)}`;
      const place = `${file}+0x${offset.toString(16)}`;
      for (const { name, target, consumer } of handlers) {
        yield { place, role: name, target, probe: consumer };
      }
    }
  },
  tracepoint: function* (kernel, _owners, problem) {
    for (const { tracepoint, name, role, target } of tracepointProbes(kernel, problem, () => {})) {
      if (role === "probe") yield { place: name, role, target, probe: tracepoint };
    }
  },
  ftrace: function* (kernel, _owners, problem) {
    for (const { ops, function: call, direct, handlers } of ftraceUsers(kernel, problem)) {
      const place = kernel.symbols.at(ops)?.name ?? kernel.format(ops);
      yield { place, role: "callback", target: call, probe: ops };
      if (direct !== 0) yield { place, role: "direct call", target: direct, probe: ops };
      for (const { name, target } of handlers) yield { place, role: name, target, probe: ops };
    }
  },
  perf: function* (kernel, _owners, problem) {
    for (const each of perfEvents(kernel, kernel.budget(), problem)) {
      const { event, type, config, unit, pid, overflow } = each;
      const whose = pid === undefined ? "a processor" : `thread ${pid}`;
      const what = unit ?? PERF_TYPES[type] ?? `type ${type}`;
      const place = `${what} ${config} of ${whose}`;
      yield { place, role: "overflow handler", target: overflow, probe: event };
    }
  },
  livepatch: function* (kernel, _owners, problem) {
    for (const { patch, functions, transition } of livepatches(kernel, kernel.budget(), problem)) {
      for (const { name, object, to } of functions) {
        const place = object === undefined ? name : `${object}:${name}`;
        const role = transition ? "replacement in transition" : "replacement";
        yield { place, role, target: to, probe: patch };
      }
    }
  },
};

/** What a kernel lacks as a whole keeps nobody from seeing the other kinds. */
function* readKind(
  kind: ProbeKind,
  kernel: Kernel,
  owners: CodeOwners,
  problem: Problem,
): Generator<Found> {
  try {
    yield* READERS[kind](kernel, owners, problem);
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    problem(`${kind}: ${error.message}`);
  }
}

/** Everything that looks over the shoulder of the kernel or of programs, or replaces functions. */
export const probes: View<ProbeRow, ProbeSelection> = {
  schema: "kvmsec.probes/1",
  list: "probes",
  *read(kernel, { kind = Object.keys(READERS) as ProbeKind[] }, problem) {
    const owners = new CodeOwners(kernel);
    for (const reason of owners.problems) problem(reason);
    for (const each of kind) {
      for (const found of readKind(each, kernel, owners, problem)) {
        const symbol = found.target === 0 ? "" : owners.describe(found.target);
        yield { kind: each, ...found, symbol, owner: owners.ownerOf(found.target)?.name };
      }
    }
  },
  json: (row, kernel) => ({
    kind: row.kind,
    place: row.place,
    role: row.role,
    symbol: row.symbol === "" ? null : row.symbol,
    owner: row.owner ?? null,
    function: row.target === 0 ? null : kernel.format(row.target),
    probe: kernel.format(row.probe),
  }),
};
