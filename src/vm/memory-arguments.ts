import { isObject, keyed, parseSize } from "./option-list.ts";

/** An `-object memory-backend-*` of a QEMU's command line. */
export type MemoryBackend = {
  readonly kind: "memfd" | "file" | "ram";
  readonly id: string;
  readonly size: number;
  readonly path: string | undefined;
};

/** Memory that sits in a slot (`-device pc-dimm`), beside what the machine starts with. */
export type MemoryModule = {
  /** Id of its backend. */
  readonly backend: string;
  /** Guest-physical; undefined where QEMU chose it. */
  readonly address: number | undefined;
};

/** The backend that `-object VALUE` makes, or none. */
export function memoryBackend(value: string): MemoryBackend[] {
  const word = wordsOf(value, "qom-type");
  const kind = /^memory-backend-(memfd|file|ram)$/.exec(word("qom-type") ?? "")?.[1];
  const id = word("id");
  const size = parseSize(word("size") ?? "", 1);
  if (kind === undefined || id === undefined || size === undefined) return [];
  return [{ kind: kind as MemoryBackend["kind"], id, size, path: word("mem-path") }];
}

/** The backend of a `-numa node,…` with its number, which is a count where none is told. */
export function memoryNode(value: string, index: number): { node: number; backend: string }[] {
  const backend = keyed(value, "memdev");
  if (keyed(value, "type", true) !== "node" || backend === undefined) return [];
  return [{ node: Number(keyed(value, "nodeid") ?? index), backend }];
}

/** The memory that `-device VALUE` plugs in, or none. */
export function memoryModule(value: string): MemoryModule[] {
  const word = wordsOf(value, "driver");
  const backend = word("memdev");
  if (word("driver") !== "pc-dimm" || backend === undefined) return [];
  const address = Number(word("addr") ?? Number.NaN);
  return [{ backend, address: address > 0 ? address : undefined }];
}

/** What encrypts a guest's memory, by the type of QEMU's object (qapi/qom.json). */
const ENCRYPTIONS: Readonly<Record<string, string>> = {
  "sev-guest": "AMD SEV",
  "sev-snp-guest": "AMD SEV-SNP",
  "tdx-guest": "Intel TDX",
};

/**
 * What encrypts the memory of a machine whose `confidential-guest-support` (before QEMU 6.0:
 * `memory-encryption`) names the object `id`; the values of all `-object` tell which that is.
 */
export function memoryEncryption(id: string, objects: readonly string[]): string {
  const types = objects.flatMap((value) => {
    const word = wordsOf(value, "qom-type");
    return word("id") === id ? [word("qom-type") ?? ""] : [];
  });
  return ENCRYPTIONS[types[0] ?? ""] ?? "the processor";
}

/** Looks up the words of an option whose first may come without its key. libvirt writes JSON. */
function wordsOf(value: string, implied: string): (key: string) => string | undefined {
  const json = jsonOf(value);
  return (key) => (json === undefined ? keyed(value, key, key === implied) : text(json[key]));
}

function jsonOf(value: string): Record<string, unknown> | undefined {
  if (!value.startsWith("{")) return undefined;
  try {
    const parsed: unknown = JSON.parse(value);
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}
