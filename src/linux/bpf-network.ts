import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { BpfAttachment } from "./bpf-attachment.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { ModuleTypes } from "./module-types.ts";
import { NetNamespaces } from "./net-namespace.ts";
import { DeviceNames } from "./netdevice-names.ts";
import { XdpPrograms } from "./netdevice-xdp.ts";

const DIRECTIONS = ["ingress", "egress"] as const;
const MAX_FILTERS = 1024;
const MAX_KIND = 16;

/** Programs that see a device's packets: XDP, tcx (6.6), and `bpf` filters of tc (net/sched/cls_bpf.c). */
export function* networkPrograms(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<BpfAttachment> {
  const names = new DeviceNames(kernel);
  const xdp = new XdpPrograms(kernel);
  const traffic = new TrafficControl(kernel, budget, problem);
  for (const net of new NetNamespaces(kernel).all(budget, problem)) {
    for (const device of names.devices(net, budget, problem)) {
      const name = names.nameOf(device) ?? "a device";
      for (const { program } of xdp.of(device)) yield { place: `XDP of ${name}`, program };
      for (const direction of DIRECTIONS) {
        yield* traffic.programs(device, direction, `${direction} of ${name}`);
      }
    }
  }
}

/** Reads what a device's clsact or ingress qdisc leads to. */
class TrafficControl {
  readonly #kernel: Kernel;
  readonly #budget: Budget;
  readonly #problem: Problem;
  readonly #head:
    | { readonly list: Reader; readonly link: number; readonly filter: Reader }
    | undefined;

  constructor(kernel: Kernel, budget: Budget, problem: Problem) {
    this.#kernel = kernel;
    this.#budget = budget;
    this.#problem = problem;
    this.#head = classifierTypes(kernel);
  }

  *programs(
    device: GuestVirtual,
    direction: (typeof DIRECTIONS)[number],
    place: string,
  ): Generator<BpfAttachment> {
    const kernel = this.#kernel;
    const mini = kernel.readerOf("net_device", `miniq_${direction}`);
    if (mini !== undefined) return yield* this.#filters(mini(device), place);
    const entry = kernel.readerOf("net_device", `tcx_${direction}`)?.(device) ?? 0;
    if (!(entry < 0)) return undefined;
    const items = kernel.reader("bpf_mprog_entry", "fp_items")(entry);
    const size = kernel.types.size("bpf_mprog_fp");
    for (let index = 0; index < kernel.types.length("bpf_mprog_entry", "fp_items"); index++) {
      const program = kernel.reader("bpf_mprog_fp", "prog")(items + index * size);
      if (!(program < 0)) break;
      yield { place: `tcx ${place}`, program };
    }
    const bundle = kernel.reader("bpf_mprog_entry", "parent")(entry);
    const whole = bundle - kernel.offset("tcx_entry", "bundle");
    return yield* this.#filters(kernel.reader("tcx_entry", "miniq")(whole), place);
  }

  /** `tcf_proto`s in their order; those of kind `bpf` have a list of programs. */
  *#filters(mini: GuestVirtual, place: string): Generator<BpfAttachment> {
    const kernel = this.#kernel;
    if (!(mini < 0) || this.#head === undefined) return;
    const { list, link, filter } = this.#head;
    let proto = kernel.reader("mini_Qdisc", "filter_list")(mini);
    for (let count = 0; proto < 0 && count < MAX_FILTERS; count++) {
      const ops = kernel.reader("tcf_proto", "ops")(proto);
      const kind = kernel.space.string(kernel.reader("tcf_proto_ops", "kind")(ops), MAX_KIND);
      const root = kernel.reader("tcf_proto", "root")(proto);
      if (kind === "bpf" && root < 0) {
        const programs = listSnapshot(kernel, list(root), link, this.#budget, this.#problem);
        for (const each of programs) yield { place: `tc ${place}`, program: filter(each) };
      }
      proto = kernel.reader("tcf_proto", "next")(proto);
    }
  }
}

/** The classifier is a module with types of its own in most kernels; undefined where nobody tells them. */
function classifierTypes(
  kernel: Kernel,
): { readonly list: Reader; readonly link: number; readonly filter: Reader } | undefined {
  const module = "cls_bpf";
  const types = kernel.types.has("cls_bpf_head", "plist")
    ? kernel.types
    : new ModuleTypes(kernel).of(module);
  if (typeof types === "string") return undefined;
  const list = types.member("cls_bpf_head", "plist");
  const link = types.member("cls_bpf_prog", "link");
  const filter = types.member("cls_bpf_prog", "filter");
  if (list === undefined || link === undefined || filter === undefined) return undefined;
  return {
    list: (head) => head + list.offset,
    link: link.offset,
    filter: (program) => kernel.space.pointer(program + filter.offset),
  };
}
