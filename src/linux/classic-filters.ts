import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { AddressRange } from "./address-ranges.ts";
import type { Kernel } from "./kernel.ts";
import { NetNamespaces } from "./net-namespace.ts";
import { Socks } from "./sock.ts";
import { SocketFiles } from "./socket-files.ts";
import { socketTableEntries } from "./socket-tables.ts";
import { Tasks } from "./task.ts";

type Problem = (reason: string) => void;

/** Filters of one task stand behind each other; seccomp's limit is 32,768 instructions in all. */
const MAX_SECCOMP_FILTERS = 8192;
/** A classic program has at most 4,096 instructions (BPF_MAXINSNS); none becomes larger than this. */
const MAX_PAGES = 512;

/**
 * Machine code of classic BPF programs where each has pages of its own: before they moved into the
 * packs (`pack_list`, 5.18), and nothing lists them. They are found through those who hold them:
 * the PTP classifier (net/core/ptp_classifier.c), tasks' seccomp filters (kernel/seccomp.c), and
 * sockets' filters. An image starts behind a header at a page's start (struct bpf_binary_header).
 */
export function* classicFilters(kernel: Kernel, problem: Problem): Generator<AddressRange> {
  if (Number.isFinite(kernel.symbol("pack_list"))) return;
  const codeOf = kernel.readerOf("bpf_prog", "bpf_func");
  const pages = kernel.readerOf("bpf_binary_header", "pages");
  if (codeOf === undefined || pages === undefined) return;
  const budget = kernel.budget();
  const seen = new Set<GuestVirtual>();
  for (const program of programs(kernel, budget, problem)) {
    const code = codeOf(program);
    if (!(code < 0) || seen.has(program)) continue;
    seen.add(program);
    const start = Math.floor(code / PAGE_SIZE) * PAGE_SIZE;
    const count = pages(start);
    // A program that is interpreted leads into kernel text, where no header is.
    if (code - start < 4 || !(count >= 1 && count <= MAX_PAGES)) continue;
    yield { start, end: start + count * PAGE_SIZE };
  }
}

function* programs(kernel: Kernel, budget: Budget, problem: Problem): Generator<GuestVirtual> {
  const classifier = kernel.symbol("ptp_insns");
  if (classifier === classifier) yield kernel.space.pointer(classifier);
  yield* seccompFilters(kernel, budget, problem);
  yield* socketFilters(kernel, budget, problem);
}

function* seccompFilters(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<GuestVirtual> {
  const first = kernel.readerOf("task_struct", "seccomp.filter");
  const program = kernel.readerOf("seccomp_filter", "prog");
  if (first === undefined || program === undefined) return;
  const previous = kernel.reader("seccomp_filter", "prev");
  const seen = new Set<GuestVirtual>();
  const tasks = new Tasks(kernel);
  for (const leader of tasks.processes(budget, problem)) {
    for (const task of tasks.threads(leader, budget, problem)) {
      let filter = first(task);
      for (let depth = 0; filter < 0 && depth < MAX_SECCOMP_FILTERS; depth++) {
        // Tasks share the filters of those that they descend from.
        if (seen.has(filter)) break;
        seen.add(filter);
        yield program(filter);
        filter = previous(filter);
      }
    }
  }
}

function* socketFilters(kernel: Kernel, budget: Budget, problem: Problem): Generator<GuestVirtual> {
  const filter = kernel.reader("sock", "sk_filter");
  const program = kernel.reader("sk_filter", "prog");
  const socks = new Socks(kernel);
  const nets = new NetNamespaces(kernel).all(budget, problem);
  const sock: GuestVirtual[] = [];
  for (const open of new SocketFiles(kernel, socks).read(budget, problem).values())
    sock.push(open.sock);
  for (const entry of socketTableEntries(kernel, nets, budget, problem)) sock.push(entry.sock);
  for (const each of new Set(sock)) {
    if (socks.plausible(each) && socks.kind(each) === "full" && filter(each) < 0) {
      yield program(filter(each));
    }
  }
}
