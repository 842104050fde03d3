import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback, Problem } from "./callback.ts";
import { functionMembers } from "./function-members.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries } from "./list.ts";
import { isLinked, listSnapshot } from "./list-snapshot.ts";

/** How a place leads to what was registered there. */
type Shape =
  /** A `list_head` of structs, by their member `link`. */
  | { readonly kind: "list" | "hlist"; readonly link: string }
  /** Structs that lead to one another by their member `link`. */
  | { readonly kind: "chain"; readonly link: string }
  /** An array of pointers to structs. */
  | { readonly kind: "table" }
  /** A pointer to one struct. */
  | { readonly kind: "pointer" }
  /** The struct itself. */
  | { readonly kind: "struct" };

/** A place where code registers functions to be called: who handles a protocol, a file format, a key. */
export type Registry = {
  readonly symbol: string;
  readonly struct: string;
  readonly shape: Shape;
  /** Where its functions are, if not in the struct itself: the member that points to them. */
  readonly through?: readonly [member: string, struct: string];
  /** Members that are only called while booting, and may lead to memory that was given back. */
  readonly boot?: readonly string[];
  /** Of a table: entries of what the kernel and the distribution themselves handle. */
  readonly claimed?: readonly number[];
  /** Only modules of the distribution may be called here; any that is listed unless told. */
  readonly strict?: boolean;
};

const list = (link: string): Shape => ({ kind: "list", link });
const chain = (link: string): Shape => ({ kind: "chain", link });
const TABLE: Shape = { kind: "table" };
const CONSOLE_BOOT = ["setup", "match"];
const SMP_BOOT = ["smp_prepare_boot_cpu", "smp_prepare_cpus", "smp_cpus_done"];

/** Each with the file of the kernel that has it. A place that a kernel does not have is left out. */
export const registries: readonly Registry[] = [
  // fs/exec.c: who runs programs of which format.
  { symbol: "formats", struct: "linux_binfmt", shape: list("lh"), strict: true },
  // drivers/tty/sysrq.c: keys that reach the kernel past every program.
  { symbol: "sysrq_key_table", struct: "sysrq_key_op", shape: TABLE, strict: true },
  // drivers/input/input.c: who hears of every key.
  { symbol: "input_handler_list", struct: "input_handler", shape: list("node"), strict: true },
  // net/ipv4/protocol.c, net/ipv6/protocol.c: who gets packets of which protocol. ICMP, IGMP, TCP,
  // UDP and the headers that IPv6 itself knows are the kernel's.
  { symbol: "inet_protos", struct: "net_protocol", shape: TABLE, claimed: [1, 2, 6, 17] },
  {
    symbol: "inet6_protos",
    struct: "inet6_protocol",
    shape: TABLE,
    claimed: [6, 17, 43, 44, 58, 60],
  },
  { symbol: "inet_offloads", struct: "net_offload", shape: TABLE, claimed: [6, 17] },
  { symbol: "inet6_offloads", struct: "net_offload", shape: TABLE, claimed: [6, 17] },
  // net/socket.c, net/core/sock.c, net/core/sock_diag.c: local, IP, netlink and packet sockets.
  { symbol: "net_families", struct: "net_proto_family", shape: TABLE, claimed: [1, 2, 10, 16, 17] },
  { symbol: "proto_list", struct: "proto", shape: list("node") },
  {
    symbol: "sock_diag_handlers",
    struct: "sock_diag_handler",
    shape: TABLE,
    claimed: [1, 2, 10, 16, 17],
  },
  { symbol: "tcp_cong_list", struct: "tcp_congestion_ops", shape: list("list") },
  { symbol: "pernet_list", struct: "pernet_operations", shape: list("list") },
  { symbol: "link_ops", struct: "rtnl_link_ops", shape: list("list") },
  // net/sched.
  { symbol: "qdisc_base", struct: "Qdisc_ops", shape: chain("next") },
  { symbol: "tcf_proto_base", struct: "tcf_proto_ops", shape: list("head") },
  { symbol: "act_base", struct: "tc_action_ops", shape: list("head") },
  // kernel/printk/printk.c: who reads the log and writes the console.
  { symbol: "dump_list", struct: "kmsg_dumper", shape: list("list") },
  {
    symbol: "console_list",
    struct: "console",
    shape: { kind: "hlist", link: "node" },
    boot: CONSOLE_BOOT,
  },
  { symbol: "console_drivers", struct: "console", shape: chain("next"), boot: CONSOLE_BOOT },
  // drivers/base/syscore.c: called on suspend and shutdown; the functions moved away in 6.18.
  { symbol: "syscore_ops_list", struct: "syscore_ops", shape: list("node") },
  {
    symbol: "syscore_list",
    struct: "syscore",
    shape: list("node"),
    through: ["ops", "syscore_ops"],
  },
  // fs/filesystems.c, mm/shrinker.c, security/keys/key.c, kernel/events/core.c.
  { symbol: "file_systems", struct: "file_system_type", shape: { kind: "hlist", link: "list" } },
  { symbol: "file_systems", struct: "file_system_type", shape: chain("next") },
  { symbol: "shrinker_list", struct: "shrinker", shape: list("list") },
  { symbol: "key_types_list", struct: "key_type", shape: list("link") },
  { symbol: "pmus", struct: "pmu", shape: list("entry") },
  // kernel/trace: tracers, and events that were made while running.
  { symbol: "trace_types", struct: "tracer", shape: chain("next") },
  {
    symbol: "dyn_event_list",
    struct: "dyn_event",
    shape: list("list"),
    through: ["ops", "dyn_event_operations"],
  },
  // kernel/time/clocksource.c: what time it is.
  { symbol: "clocksource_list", struct: "clocksource", shape: list("list") },
  // kernel/events/core.c: KVM's, told of each sample that hits a guest.
  { symbol: "perf_guest_cbs", struct: "perf_guest_info_callbacks", shape: { kind: "pointer" } },
  // arch/x86: what reboots the machine and wakes processors.
  { symbol: "machine_ops", struct: "machine_ops", shape: { kind: "struct" } },
  { symbol: "smp_ops", struct: "smp_ops", shape: { kind: "struct" }, boot: SMP_BOOT },
];

/** Variables that are a pointer to a function themselves. */
export const functionVariables: readonly string[] = [
  "pm_power_off",
  "ftrace_trace_function",
  "x86_platform_ipi_callback",
  "kvm_posted_intr_wakeup_handler",
  // drivers/input/serio/i8042.c: sees each byte of the keyboard before its driver.
  "i8042_platform_filter",
];

/** Longest table that is read, in pointers: MAX_INET_PROTOS. */
const MAX_TABLE = 256;
const MAX_CHAIN = 4096;

/** Functions that were registered at one place; those of members that are NULL are left out. */
export function* registered(
  kernel: Kernel,
  registry: Registry,
  budget: Budget,
  problem: Problem,
): Generator<Callback> {
  const place = placeOf(kernel, registry);
  if (place === undefined) return problem(`${registry.symbol} cannot be told from its namesakes`);
  if (place !== place) return undefined;
  if (!isKnown(kernel, registry)) {
    const others = registries.filter(({ symbol }) => symbol === registry.symbol);
    if (others.some((other) => isKnown(kernel, other))) return undefined;
    return problem(`what ${registry.symbol} holds is not known`);
  }
  const [member, struct] = registry.through ?? ["", registry.struct];
  const follow = registry.through && kernel.reader(registry.struct, member);
  for (const each of objects(kernel, registry, place, budget, problem)) {
    const holder = follow === undefined ? each : follow(each);
    for (const { name, offset } of functionMembers(kernel, struct)) {
      if (registry.boot?.includes(name) === true) continue;
      const target = kernel.space.pointer(holder + offset);
      if (target === 0) continue;
      yield { what: `${name} of ${registry.symbol}`, function: target, holder };
    }
  }
  return undefined;
}

/** A struct that a table of `registries` holds for what the kernel and the distribution handle. */
export type ClaimedEntry = {
  /** `entry 6 of inet_protos`. */
  readonly what: string;
  readonly struct: string;
  readonly slot: GuestVirtual;
  readonly table: GuestVirtual;
};

/** Entries that nobody else has a reason to take over; those that are empty are left out. */
export function* claimedEntries(kernel: Kernel): Generator<ClaimedEntry> {
  for (const { symbol, struct, claimed = [] } of registries) {
    const place = kernel.symbol(symbol);
    if (place !== place) continue;
    const length = tableLength(kernel, place);
    for (const index of claimed) {
      if (index >= length) continue;
      const slot = place + index * 8;
      const table = kernel.space.pointer(slot);
      if (table !== 0) yield { what: `entry ${index} of ${symbol}`, struct, slot, table };
    }
  }
}

/** A list that changed its kind is in `registries` twice: this kernel has one of them. */
function isKnown({ types }: Kernel, { struct, shape, through }: Registry): boolean {
  const linked = !("link" in shape) || types.has(struct, shape.link);
  const leads = through === undefined || types.struct(through[1]) !== 0;
  return types.struct(struct) !== 0 && linked && leads;
}

/** Static variables of several files may have one name: a list is what leads back to itself. */
function placeOf(kernel: Kernel, { symbol, shape }: Registry): GuestVirtual | undefined {
  const places = kernel.symbols.all(symbol);
  if (places.length < 2 || shape.kind !== "list") return kernel.symbol(symbol);
  return places.find((head) => isLinked(kernel, head));
}

function* objects(
  kernel: Kernel,
  { symbol, struct, shape }: Registry,
  place: GuestVirtual,
  budget: Budget,
  problem: Problem,
): Generator<GuestVirtual> {
  switch (shape.kind) {
    case "list":
      return yield* listSnapshot(kernel, place, kernel.offset(struct, shape.link), budget, problem);
    case "hlist":
      return yield* hlistEntries(kernel, place, kernel.offset(struct, shape.link), budget, problem);
    case "chain":
      return yield* chained(kernel, place, kernel.reader(struct, shape.link), () =>
        problem(`${symbol} cannot be read to its end`),
      );
    case "table":
      return yield* pointers(kernel, place, tableLength(kernel, place));
    case "pointer":
      return yield* pointers(kernel, place, 1);
    default:
      return yield place;
  }
}

/** Up to the next symbol: a table ends there at the latest, and what pads it is zero. */
function tableLength(kernel: Kernel, place: GuestVirtual): number {
  return Math.min((kernel.symbols.at(place)?.size ?? 0) / 8, MAX_TABLE);
}

function* pointers(kernel: Kernel, place: GuestVirtual, count: number): Generator<GuestVirtual> {
  for (let index = 0; index < count; index++) {
    const object = kernel.space.pointer(place + index * 8);
    if (object !== 0) yield object;
  }
}

function* chained(
  kernel: Kernel,
  place: GuestVirtual,
  next: (object: GuestVirtual) => GuestVirtual,
  fault: () => void,
): Generator<GuestVirtual> {
  let object = kernel.space.pointer(place);
  for (let count = 0; object !== 0; count++) {
    if (object !== object || count === MAX_CHAIN) return fault();
    yield object;
    object = next(object);
  }
  return undefined;
}

/** What the kernel's variables of functions lead to; those that are NULL are left out. */
export function* variableFunctions(kernel: Kernel): Generator<Callback> {
  for (const symbol of functionVariables) {
    const holder = kernel.symbol(symbol);
    if (holder !== holder) continue;
    const target = kernel.space.pointer(holder);
    if (target !== 0) yield { what: `function of ${symbol}`, function: target, holder };
  }
}
