import type { GuestVirtual } from "../base/address.ts";
import { Cgroups } from "./cgroup.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { Paths } from "./path.ts";

/** What a link is attached to. All of it is optional: what there is depends on the link's type. */
export type BpfLinkTarget = {
  /** Kernel functions that are traced. */
  readonly functions?: readonly string[];
  /** How many there are, where `functions` has not room for all. */
  readonly count?: number;
  readonly tracepoint?: string;
  /** A perf event's name. */
  readonly event?: string;
  readonly cgroup?: { readonly id: number; readonly path: string | undefined };
  readonly device?: { readonly index: number; readonly name: string | undefined };
  /** Inode of the network namespace. */
  readonly netns?: number;
  /** Hook of netfilter: protocol family, number, priority. */
  readonly netfilter?: {
    readonly family: number;
    readonly hook: number;
    readonly priority: number;
  };
  /** What an iterator goes through: `task`, `bpf_map` … */
  readonly iterator?: string;
  /** Id of the map (struct_ops, sockmap). */
  readonly map?: number;
  /** The program or library whose functions are traced. */
  readonly file?: string;
};

const MAX_FUNCTIONS = 64;
const MAX_NAME = 128;
const IFNAMSIZ = 16;

type Decode = (link: GuestVirtual) => BpfLinkTarget;

/** Decodes what each kind of link adds to `struct bpf_link`. */
export class BpfLinkTargets {
  readonly #kernel: Kernel;
  readonly #decoders: ReadonlyMap<string, Decode>;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#decoders = new Map<string, Decode>([
      ["raw_tracepoint", (link) => this.#rawTracepoint(link)],
      ["tracing", (link) => this.#tracing(link)],
      ["cgroup", (link) => this.#cgroup(link)],
      ["iter", (link) => this.#iterator(link)],
      ["netns", (link) => this.#netns(link)],
      ["xdp", (link) => this.#device(link, "bpf_xdp_link")],
      ["tcx", (link) => this.#device(link, "tcx_link")],
      ["netkit", (link) => this.#device(link, "netkit_link")],
      ["perf_event", (link) => this.#perfEvent(link)],
      ["kprobe_multi", (link) => this.#kprobeMulti(link)],
      ["uprobe_multi", (link) => this.#uprobeMulti(link)],
      ["netfilter", (link) => this.#netfilter(link)],
      ["struct_ops", (link) => this.#map(link, "bpf_struct_ops_link")],
      ["sockmap", (link) => this.#map(link, "sockmap_link")],
    ]);
  }

  /** Nothing where the kind is not known, or this kernel's types do not tell. */
  of(link: GuestVirtual, type: string): BpfLinkTarget {
    return this.#decoders.get(type)?.(link) ?? {};
  }

  /** A member of the struct around a link, or NaN; not every one begins with its link. */
  #read(struct: string, member: string, link: GuestVirtual): number {
    const { types } = this.#kernel;
    const reader: Reader | undefined = this.#kernel.readerOf(struct, member);
    return reader?.(link - (types.member(struct, "link")?.offset ?? 0)) ?? Number.NaN;
  }

  #text(address: GuestVirtual, limit = MAX_NAME): string | undefined {
    return address < 0 ? this.#kernel.space.string(address, limit) : undefined;
  }

  #rawTracepoint(link: GuestVirtual): BpfLinkTarget {
    const kernel = this.#kernel;
    const event = this.#read("bpf_raw_tp_link", "btp", link);
    const point = kernel.reader("bpf_raw_event_map", "tp")(event);
    const tracepoint = this.#text(kernel.reader("tracepoint", "name")(point));
    return tracepoint === undefined ? {} : { tracepoint };
  }

  #tracing(link: GuestVirtual): BpfLinkTarget {
    const trampoline = this.#read("bpf_tracing_link", "trampoline", link);
    const address = this.#kernel.readerOf("bpf_trampoline", "func.addr")?.(trampoline);
    return address === undefined ? {} : { functions: this.#names([address]) };
  }

  #kprobeMulti(link: GuestVirtual): BpfLinkTarget {
    const count = this.#read("bpf_kprobe_multi_link", "cnt", link);
    const list = this.#read("bpf_kprobe_multi_link", "addrs", link);
    if (!(count >= 0)) return {};
    const addresses = Array.from({ length: Math.min(count, MAX_FUNCTIONS) }, (_, index) =>
      this.#kernel.space.pointer(list + index * 8),
    );
    return { functions: this.#names(addresses), count };
  }

  #names(addresses: readonly GuestVirtual[]): string[] {
    return addresses.map((address) => {
      const at = this.#kernel.symbols.at(address);
      return at?.name ?? this.#kernel.format(address);
    });
  }

  #uprobeMulti(link: GuestVirtual): BpfLinkTarget {
    const count = this.#read("bpf_uprobe_multi_link", "cnt", link);
    const path = this.#read("bpf_uprobe_multi_link", "path", link);
    const file = path < 0 ? new Paths(this.#kernel).text(path) : undefined;
    return { ...(count >= 0 && { count }), ...(file !== undefined && { file }) };
  }

  #cgroup(link: GuestVirtual): BpfLinkTarget {
    const kernel = this.#kernel;
    const cgroup = this.#read("bpf_cgroup_link", "cgroup", link);
    const node = kernel.reader("cgroup", "kn")(cgroup);
    const id = kernel.readerOf("kernfs_node", "id")?.(node) ?? Number.NaN;
    return { cgroup: { id, path: new Cgroups(kernel).pathOfCgroup(cgroup) } };
  }

  #device(link: GuestVirtual, struct: string): BpfLinkTarget {
    const kernel = this.#kernel;
    const device = this.#read(struct, "dev", link);
    if (!(device < 0)) return {};
    const index = kernel.reader("net_device", "ifindex")(device);
    return {
      device: { index, name: this.#text(kernel.reader("net_device", "name")(device), IFNAMSIZ) },
    };
  }

  #netns(link: GuestVirtual): BpfLinkTarget {
    const net = this.#read("bpf_netns_link", "net", link);
    return net < 0 ? { netns: this.#kernel.reader("net", "ns.inum")(net) } : {};
  }

  #iterator(link: GuestVirtual): BpfLinkTarget {
    const kernel = this.#kernel;
    const info = this.#read("bpf_iter_link", "tinfo", link);
    const registered = kernel.readerOf("bpf_iter_target_info", "reg_info")?.(info) ?? Number.NaN;
    const iterator = this.#text(
      kernel.readerOf("bpf_iter_reg", "target")?.(registered) ?? Number.NaN,
    );
    return iterator === undefined ? {} : { iterator };
  }

  #perfEvent(link: GuestVirtual): BpfLinkTarget {
    const kernel = this.#kernel;
    const file = this.#read("bpf_perf_link", "perf_file", link);
    const perf = kernel.reader("file", "private_data")(file);
    const call = kernel.readerOf("perf_event", "tp_event")?.(perf) ?? Number.NaN;
    const named = kernel.reader("trace_event_call", "name")(call);
    // A union of the name and a tracepoint; the flag that tells has moved. The letters of a name,
    // taken for a pointer, lead nowhere.
    const tracepoint = this.#text(kernel.reader("tracepoint", "name")(named));
    const event = tracepoint ?? this.#text(named);
    return event === undefined ? {} : { event };
  }

  #netfilter(link: GuestVirtual): BpfLinkTarget {
    const of = (member: string): number => this.#read("bpf_nf_link", `hook_ops.${member}`, link);
    const [family, hook, priority] = [of("pf"), of("hooknum"), of("priority")];
    return family === family ? { netfilter: { family, hook, priority } } : {};
  }

  #map(link: GuestVirtual, struct: string): BpfLinkTarget {
    const map = this.#read(struct, "map", link);
    return map < 0 ? { map: this.#kernel.reader("bpf_map", "id")(map) } : {};
  }
}
