import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { BpfLinkTargets } from "./bpf-link-target.ts";
import type { BpfLinkTarget } from "./bpf-link-target.ts";
import { BpfPrograms } from "./bpf-program.ts";
import { enumNames } from "./enum-names.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { XArrays } from "./xarray.ts";

/** What keeps a BPF program attached to something. */
export type BpfLink = {
  readonly id: number;
  /** `xdp`, `cgroup`, `tracing` …: enum bpf_link_type; the number where that has no name. */
  readonly type: string;
  /** Id of the program; undefined for links of struct_ops, which have a map instead. */
  readonly program: number | undefined;
  /** `cgroup_inet_ingress`, `trace_fentry` …: enum bpf_attach_type, where the link has one. */
  readonly attachType: string | undefined;
  readonly target: BpfLinkTarget;
  /** Address of its struct bpf_link. */
  readonly link: GuestVirtual;
};

/** Structs that had a type of attachment of their own before `bpf_link.attach_type` (6.17). */
const ATTACH_TYPES: Readonly<Record<string, readonly [struct: string, member: string]>> = {
  cgroup: ["bpf_cgroup_link", "type"],
  netns: ["bpf_netns_link", "type"],
  tracing: ["bpf_tracing_link", "attach_type"],
  tcx: ["tcx_link", "location"],
  netkit: ["netkit_link", "location"],
  sockmap: ["sockmap_link", "attach_type"],
};

/** Decodes `struct bpf_link` (include/linux/bpf.h, since 5.7) and what is built around it. */
export class BpfLinks {
  readonly #kernel: Kernel;
  readonly #programs: BpfPrograms;
  readonly #targets: BpfLinkTargets;
  readonly #types: ReadonlyMap<number, string>;
  readonly #attachTypes: ReadonlyMap<number, string>;
  readonly #attachType: Reader | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#programs = new BpfPrograms(kernel);
    this.#targets = new BpfLinkTargets(kernel);
    this.#types = enumNames(kernel, "bpf_link_type", "BPF_LINK_TYPE_");
    this.#attachTypes = enumNames(kernel, "bpf_attach_type", "BPF_");
    this.#attachType = kernel.readerOf("bpf_link", "attach_type");
  }

  /** All links that user space could ask for (`link_idr`, kernel/bpf/syscall.c, since 5.8), by id. */
  *all(budget: Budget, problem?: (reason: string) => void): Generator<BpfLink> {
    const idr = this.#kernel.symbol("link_idr");
    if (idr !== idr) return;
    for (const { index, pointer } of new XArrays(this.#kernel).idrEntries(idr, budget, problem)) {
      const link = this.decode(pointer);
      if (link.id === index) yield link;
    }
  }

  decode(link: GuestVirtual): BpfLink {
    const own = (member: string): number => this.#kernel.reader("bpf_link", member)(link);
    const number = own("type");
    const type = this.#types.get(number) ?? String(number);
    const program = own("prog");
    return {
      id: own("id"),
      type,
      program: program < 0 ? this.#programs.id(program) : undefined,
      attachType: this.#attachTypes.get(this.#attachTypeOf(link, type)),
      target: this.#targets.of(link, type),
      link,
    };
  }

  #attachTypeOf(link: GuestVirtual, type: string): number {
    if (this.#attachType !== undefined && type in ATTACH_TYPES) return this.#attachType(link);
    const [struct, member] = ATTACH_TYPES[type] ?? [];
    if (struct === undefined || member === undefined) return Number.NaN;
    // Each of these structs begins with its bpf_link.
    return this.#kernel.readerOf(struct, member)?.(link) ?? Number.NaN;
  }
}
