import { memoryBackend, memoryEncryption, memoryModule, memoryNode } from "./memory-arguments.ts";
import type { MemoryBackend, MemoryModule } from "./memory-arguments.ts";
import { keyed, parseSize } from "./option-list.ts";

/** What a QEMU's command line says about its guest. */
export type QemuArguments = {
  readonly name: string | undefined;
  readonly uuid: string | undefined;
  /** Bytes of RAM; QEMU's default is 128 MiB (hw/core/machine.c). */
  readonly memory: number;
  readonly machine: MachineKind;
  readonly accelerator: "kvm" | "tcg" | "unknown";
  /** Ids and options of `-object memory-backend-*`, in order. */
  readonly backends: readonly MemoryBackend[];
  /** Ids of the backends that the machine's own memory is made of, in the order of their addresses. */
  readonly memoryBackends: readonly string[];
  /** Memory in slots, which comes on top. */
  readonly modules: readonly MemoryModule[];
  /** Memory may be plugged in while the guest runs: `maxmem` of `-m`. */
  readonly canGrow: boolean;
  /** What encrypts its memory, so that the host cannot read it; undefined where nothing does. */
  readonly encryption: string | undefined;
  /** Unix sockets that serve QMP. */
  readonly qmpSockets: readonly string[];
  /** The file given with `-kernel`. */
  readonly kernel: string | undefined;
  /** `max-ram-below-4g` of the machine, in bytes. */
  readonly maxRamBelow4g: number | undefined;
};

export type MachineKind = "q35" | "pc" | "microvm" | "other";

const DEFAULT_MEMORY = 128 * 2 ** 20;

/** Reads the arguments of a running QEMU (without argv[0]); what it does not know it passes over. */
export function parseQemuArguments(argv: readonly string[]): QemuArguments {
  const options = optionPairs(argv);
  const ofMachine = merged(all(options, "machine", "M"));
  const ofMemory = merged(all(options, "m"));
  const accelerators = [...all(options, "accel"), ofMachine("accel") ?? ""];
  const objects = all(options, "object");
  const guardian = ofMachine("confidential-guest-support") ?? ofMachine("memory-encryption");
  return {
    name: keyed(lastOf(options, "name") ?? "", "guest", true),
    uuid: lastOf(options, "uuid"),
    memory: parseSize(ofMemory("size", true) ?? "", 2 ** 20) ?? DEFAULT_MEMORY,
    machine: machineKind(ofMachine("type", true) ?? "pc"),
    accelerator: acceleratorOf(
      accelerators,
      options.some(({ key }) => key === "enable-kvm"),
    ),
    backends: objects.flatMap(memoryBackend),
    memoryBackends: ownBackends(all(options, "numa"), ofMachine("memory-backend")),
    modules: all(options, "device").flatMap(memoryModule),
    canGrow: ofMemory("maxmem") !== undefined,
    encryption: guardian === undefined ? undefined : memoryEncryption(guardian, objects),
    qmpSockets: qmpSockets(options),
    kernel: lastOf(options, "kernel"),
    maxRamBelow4g: parseSize(ofMachine("max-ram-below-4g") ?? "", 1),
  };
}

type Option = { readonly key: string; readonly value: string };

function optionPairs(argv: readonly string[]): Option[] {
  const options: Option[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i];
    if (!word.startsWith("-")) continue;
    const key = word.replace(/^--?/, "");
    const next = argv[i + 1];
    const value = next !== undefined && !next.startsWith("-") ? next : "";
    options.push({ key, value });
  }
  return options;
}

function all(options: readonly Option[], ...keys: readonly string[]): string[] {
  return options.filter(({ key }) => keys.includes(key)).map(({ value }) => value);
}

function lastOf(options: readonly Option[], ...keys: readonly string[]): string | undefined {
  return all(options, ...keys).at(-1);
}

/** One for each NUMA node that has memory, or the machine's only one. */
function ownBackends(numa: readonly string[], only: string | undefined): string[] {
  const nodes = numa.flatMap(memoryNode).toSorted((a, b) => a.node - b.node);
  if (nodes.length > 0) return nodes.map(({ backend }) => backend);
  return only === undefined ? [] : [only];
}

/** QEMU puts several `-machine` (or `-m`) together; what comes later wins. */
function merged(lists: readonly string[]) {
  return (key: string, implied = false): string | undefined =>
    lists.map((list) => keyed(list, key, implied)).findLast((value) => value !== undefined);
}

function machineKind(type: string): MachineKind {
  if (type.startsWith("q35") || type.startsWith("pc-q35")) return "q35";
  if (type === "microvm") return "microvm";
  return type === "pc" || type.startsWith("pc-") ? "pc" : "other";
}

/** QEMU takes the first accelerator of the list that works; which, only QMP can tell. */
function acceleratorOf(lists: readonly string[], enableKvm: boolean): "kvm" | "tcg" | "unknown" {
  const names = lists
    .flatMap((list) => list.split(/[:,]/))
    .filter((name) => /^(kvm|tcg)$/.test(name));
  if (enableKvm) names.unshift("kvm");
  if (names.length === 0) return "tcg";
  return new Set(names).size > 1 ? "unknown" : (names[0] as "kvm" | "tcg");
}

function qmpSockets(options: readonly Option[]): string[] {
  const direct = all(options, "qmp", "qmp-pretty").map((value) => /^unix:([^,]+)/.exec(value)?.[1]);
  const controls = new Set(
    all(options, "mon")
      .filter((value) => value.includes("mode=control"))
      .map((value) => keyed(value, "chardev", true)),
  );
  const chardevs = all(options, "chardev")
    .filter((value) => value.startsWith("socket") && controls.has(keyed(value, "id")))
    .map((value) => keyed(value, "path"));
  return [...direct, ...chardevs].filter((path) => path !== undefined);
}
