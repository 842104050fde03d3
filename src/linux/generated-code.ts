import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { AddressRange } from "./address-ranges.ts";
import { classicFilters } from "./classic-filters.ts";
import { builtWithout } from "./features.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { XArrays } from "./xarray.ts";

/** Told why a list of generated code could not be read to its end. */
type Problem = (reason: string) => void;

/** Code that the running kernel wrote itself, with the name that /proc/kallsyms gives it. */
export type GeneratedCode = AddressRange & {
  readonly kind: "bpf" | "ftrace" | "kprobe" | "its";
  readonly name: string;
};

/** KSYM_NAME_LEN. */
const MAX_NAME = 512;
/** Largest piece of generated code that is believed. */
const MAX_SIZE = 2 ** 26;
const MAX_ITS_PAGES = 1024;
const PACK_SIZE = 2 ** 21;
const MAX_NODES = 32;
/** MAX_TRAMP_IMAGE_PAGES (kernel/bpf/bpf_struct_ops.c). */
const MAX_IMAGE_PAGES = 8;

/**
 * BPF programs, their subprograms, trampolines and dispatchers (`bpf_kallsyms`, kernel/bpf/core.c,
 * since 5.7), and classic filters (sockets, seccomp), which no list holds: where they lie in packs,
 * `bpfPacks` has them.
 */
export function* bpfCode(kernel: Kernel, problem?: Problem): Generator<GeneratedCode> {
  if (builtWithout(kernel, "BPF JIT") !== undefined) return;
  const head = kernel.requireSymbol("bpf_kallsyms");
  const start = kernel.addressReader("bpf_ksym", "start");
  const end = kernel.addressReader("bpf_ksym", "end");
  const name = kernel.reader("bpf_ksym", "name");
  const link = kernel.offset("bpf_ksym", "lnode");
  for (const ksym of listEntries(kernel, head, link, kernel.budget(), problem)) {
    const range = { start: start(ksym), end: end(ksym) };
    const text = kernel.space.string(name(ksym), MAX_NAME);
    if (believable(range) && text !== undefined) yield { kind: "bpf", name: text, ...range };
  }
  yield* structOpsCode(kernel, problem);
  for (const range of classicFilters(kernel, problem ?? (() => {}))) {
    if (believable(range)) yield { kind: "bpf", name: "bpf_classic", ...range };
  }
}

/**
 * What leads from a kernel's table of functions to the BPF programs that were put into it (struct_ops:
 * congestion control, schedulers; kernel/bpf/bpf_struct_ops.c). No list has it until 6.13, only the
 * map itself: one page, since 6.9 up to eight, which lie in packs since 6.8.
 */
function* structOpsCode(kernel: Kernel, problem?: Problem): Generator<GeneratedCode> {
  const idr = kernel.symbol("map_idr");
  const kind = kernel.types.enumerator("bpf_map_type", "BPF_MAP_TYPE_STRUCT_OPS");
  if (idr !== idr || kind === undefined || kernel.types.struct("bpf_struct_ops_map") === 0) return;
  const type = kernel.reader("bpf_map", "map_type");
  const inner = kernel.offset("bpf_struct_ops_map", "map");
  const own = kernel.types.member("bpf_struct_ops_map", "image_pages");
  const one = own ?? kernel.types.member("bpf_struct_ops_map", "image");
  if (one === undefined) return problem?.("where BPF keeps the code of struct_ops is not known");
  const several = own === undefined ? 1 : MAX_IMAGE_PAGES;
  for (const { pointer } of new XArrays(kernel).idrEntries(idr, kernel.budget(), problem)) {
    if (type(pointer) !== kind) continue;
    for (let index = 0; index < several; index++) {
      const start = kernel.space.pointer(pointer - inner + one.offset + index * 8);
      const range = { start, end: start + PAGE_SIZE };
      if (believable(range)) yield { kind: "bpf", name: "bpf_struct_ops", ...range };
    }
  }
}

/** Trampolines of ftrace users (`ftrace_ops_trampoline_list`, kernel/trace/ftrace.c, since 5.8). */
export function* ftraceTrampolines(kernel: Kernel, problem?: Problem): Generator<GeneratedCode> {
  const head = kernel.symbol("ftrace_ops_trampoline_list");
  if (head !== head) return;
  const start = kernel.addressReader("ftrace_ops", "trampoline");
  const size = kernel.reader("ftrace_ops", "trampoline_size");
  const link = kernel.offset("ftrace_ops", "list");
  for (const ops of listEntries(kernel, head, link, kernel.budget(), problem)) {
    const from = start(ops);
    const range = { start: from, end: from + size(ops) };
    if (believable(range)) yield { kind: "ftrace", name: "ftrace_trampoline", ...range };
  }
}

/** Pages with the instructions that kprobes moved away (struct kprobe_insn_cache, kernel/kprobes.c). */
export function* kprobePages(kernel: Kernel, problem?: Problem): Generator<GeneratedCode> {
  if (builtWithout(kernel, "kprobes") !== undefined) return;
  const pages = kernel.offset("kprobe_insn_cache", "pages");
  const symbol = kernel.reader("kprobe_insn_cache", "sym");
  const insns = kernel.reader("kprobe_insn_page", "insns");
  const link = kernel.offset("kprobe_insn_page", "list");
  for (const cache of ["kprobe_insn_slots", "kprobe_optinsn_slots"]) {
    const at = kernel.symbol(cache);
    if (at !== at) continue;
    const name = kernel.space.string(symbol(at), MAX_NAME) ?? cache;
    for (const page of listEntries(kernel, at + pages, link, kernel.budget(), problem)) {
      const start = insns(page);
      const range = { start, end: start + PAGE_SIZE };
      if (believable(range)) yield { kind: "kprobe", name, ...range };
    }
  }
}

/**
 * Pages of indirect-branch thunks against ITS (arch/x86/kernel/alternative.c, 6.15 and stable
 * branches): the kernel's own, and those of the modules at `modules`.
 */
export function* itsPages(
  kernel: Kernel,
  modules: readonly GuestVirtual[],
): Generator<GeneratedCode> {
  const { types } = kernel;
  const own = kernel.symbol("its_pages");
  if (own === own) yield* itsArray(kernel, own);
  if (types.has("module", "arch.its_pages")) {
    const array = kernel.offset("module", "arch.its_pages");
    for (const module of modules) yield* itsArray(kernel, module + array);
  } else if (types.has("module", "its_page_array")) {
    const pages = kernel.reader("module", "its_page_array");
    const count = kernel.reader("module", "its_num_pages");
    for (const module of modules) yield* thunkPages(kernel, pages(module), count(module));
  }
}

function itsArray(kernel: Kernel, array: GuestVirtual): Generator<GeneratedCode> {
  const pages = kernel.reader("its_array", "pages")(array);
  return thunkPages(kernel, pages, kernel.reader("its_array", "num")(array));
}

function* thunkPages(kernel: Kernel, pages: GuestVirtual, count: number): Generator<GeneratedCode> {
  for (let index = 0; index < Math.min(count, MAX_ITS_PAGES); index++) {
    const start = kernel.space.pointer(pages + index * 8);
    const range = { start, end: start + PAGE_SIZE };
    if (believable(range)) yield { kind: "its", name: "its_page", ...range };
  }
}

/** Large pages that hold many BPF programs (`pack_list`, since 5.18); classic filters lie in them too. */
export function* bpfPacks(kernel: Kernel, problem?: Problem): Generator<GeneratedCode> {
  const head = kernel.symbol("pack_list");
  if (head !== head) return;
  const pointer = kernel.reader("bpf_prog_pack", "ptr");
  const link = kernel.offset("bpf_prog_pack", "list");
  // BPF_PROG_PACK_SIZE: 2 MiB for each possible node. Without NUMA nobody counts them.
  const nodes = kernel.space.u32(kernel.symbol("nr_node_ids"));
  const size = PACK_SIZE * Math.min(nodes >= 1 ? nodes : 1, MAX_NODES);
  for (const pack of listEntries(kernel, head, link, kernel.budget(), problem)) {
    const start = pointer(pack);
    const range = { start, end: start + size };
    if (believable(range)) yield { kind: "bpf", name: "bpf_prog_pack", ...range };
  }
}

function believable({ start, end }: AddressRange): boolean {
  return start < 0 && end > start && end - start <= MAX_SIZE;
}
