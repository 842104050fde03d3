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
  /** Unix sockets that serve QMP. */
  readonly qmpSockets: readonly string[];
  /** The file given with `-kernel`. */
  readonly kernel: string | undefined;
  /** `max-ram-below-4g` of the machine, in bytes. */
  readonly maxRamBelow4g: number | undefined;
};

export type MachineKind = "q35" | "pc" | "microvm" | "other";

export type MemoryBackend = {
  readonly kind: "memfd" | "file" | "ram";
  readonly id: string;
  readonly size: number;
  readonly path: string | undefined;
};

const DEFAULT_MEMORY = 128 * 2 ** 20;

/** Reads the arguments of a running QEMU (without argv[0]); what it does not know it passes over. */
export function parseQemuArguments(argv: readonly string[]): QemuArguments {
  const options = optionPairs(argv);
  const machine = lastOf(options, "machine", "M") ?? "";
  const accelerators = [...all(options, "accel"), keyed(machine, "accel") ?? ""];
  return {
    name: keyed(lastOf(options, "name") ?? "", "guest", true),
    uuid: lastOf(options, "uuid"),
    memory:
      parseSize(keyed(lastOf(options, "m") ?? "", "size", true) ?? "", 2 ** 20) ?? DEFAULT_MEMORY,
    machine: machineKind(keyed(machine, "type", true) ?? "pc"),
    accelerator: acceleratorOf(
      accelerators,
      options.some(({ key }) => key === "enable-kvm"),
    ),
    backends: all(options, "object").flatMap(memoryBackend),
    qmpSockets: qmpSockets(options),
    kernel: lastOf(options, "kernel"),
    maxRamBelow4g: parseSize(keyed(machine, "max-ram-below-4g") ?? "", 1),
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

/** A value of QEMU's `a=b,c=d` lists, where `,,` is a comma; the first may come without its key. */
function keyed(list: string, key: string, implied = false): string | undefined {
  const parts = list.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(",,", ","));
  const named = parts.find((part) => part.startsWith(`${key}=`));
  if (named !== undefined) return named.slice(key.length + 1);
  const [first] = parts;
  return implied && first !== undefined && first !== "" && !first.includes("=") ? first : undefined;
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

function memoryBackend(object: string): MemoryBackend[] {
  const kind = /^(?:qom-type=)?memory-backend-(memfd|file|ram)\b/.exec(object)?.[1];
  const id = keyed(object, "id");
  const size = parseSize(keyed(object, "size") ?? "", 1);
  if (object.startsWith("{")) return jsonBackend(object);
  if (kind === undefined || id === undefined || size === undefined) return [];
  return [{ kind: kind as MemoryBackend["kind"], id, size, path: keyed(object, "mem-path") }];
}

/** libvirt writes objects as JSON. */
function jsonBackend(text: string): MemoryBackend[] {
  let object: Record<string, unknown>;
  try {
    object = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return [];
  }
  const kind = /^memory-backend-(memfd|file|ram)$/.exec(String(object["qom-type"]))?.[1];
  const size = object["size"];
  if (kind === undefined || typeof size !== "number") return [];
  const path = object["mem-path"];
  return [
    {
      kind: kind as MemoryBackend["kind"],
      id: String(object["id"]),
      size,
      path: typeof path === "string" ? path : undefined,
    },
  ];
}

/** `512`, `512M`, `4G`, `1024k`; undefined where it is no size. */
export function parseSize(text: string, unit: number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([bkmgt]?)i?b?$/i.exec(text.trim());
  if (match === null) return undefined;
  const suffix = match[2].toLowerCase();
  const scale = suffix === "" ? unit : 1024 ** "bkmgt".indexOf(suffix);
  return Math.round(Number(match[1]) * scale);
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
