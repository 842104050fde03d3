/** Registers of one vCPU as QEMU keeps them, those that no channel of a running guest tells among them. */
export type VcpuState = {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly lstar: bigint;
  readonly idtBase: bigint;
  readonly gdtBase: bigint;
};

/** A field as the description has it: how many bytes it takes in all, and where it begins. */
type Place = { readonly offset: number; readonly size: number };

/** QEMU_VM_FILE_MAGIC and QEMU_VM_FILE_VERSION (migration/savevm.c). */
const MAGIC = 0x5145_564d;
const VERSION = 3;
const SECTION_FULL = 4;
const SUBSECTION = 5;
const VMDESCRIPTION = 6;
const SECTION_FOOTER = 0x7e;
const BRACE = 0x7b;
/** A description has some 50 KiB. */
const MAX_DESCRIPTION = 2 ** 24;
const MAX_VCPUS = 8192;
const MAX_FIELDS = 4096;
/** Id (after the kind), length of the name and `cpu`, instance, version. */
const HEADER = 5 + 4 + 4 + 4;
/** SegmentCache begins with a selector of four bytes (vmstate_segment, target/i386/machine.c). */
const SEGMENT_BASE = 4;

/**
 * The vCPUs in a device state that QEMU wrote (a migration stream, docs/devel/migration), or why
 * they cannot be had. The stream describes itself in JSON at its end, and only what that says of
 * the order and size of fields is relied upon: they differ from version to version of QEMU.
 */
export function parseVcpuStates(bytes: Uint8Array): readonly VcpuState[] | string {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.length < 8 || data.readUInt32BE(0) !== MAGIC || data.readUInt32BE(4) !== VERSION) {
    return "it is no device state of QEMU";
  }
  const described = description(data);
  if (typeof described === "string") return described;
  const states: VcpuState[] = [];
  for (const device of described.devices.slice(0, MAX_VCPUS * 8)) {
    if (!isObject(device) || device["name"] !== "cpu") continue;
    const places = fieldPlaces(device["fields"]);
    const { instance_id: instance, version } = device;
    if (places === undefined || typeof instance !== "number" || typeof version !== "number") {
      return "its description of a processor is damaged";
    }
    const start = sectionStart(data, instance, version, places.size);
    if (start === undefined) return `processor ${instance} is not where it is described`;
    const state = readState(data, start, places.fields);
    if (state === undefined) return "its description of a processor lacks a register";
    states.push(state);
  }
  return states.length > 0 ? states : "it has no processor";
}

/** The JSON at the end of the stream, behind its kind and length. */
function description(data: Buffer): { readonly devices: readonly unknown[] } | string {
  const missing = "it has no description of its fields";
  const start = descriptionStart(data);
  if (start === undefined) return missing;
  const length = data.readUInt32BE(start - 4);
  if (length > MAX_DESCRIPTION || start + length > data.length) return missing;
  try {
    const parsed: unknown = JSON.parse(data.toString("utf8", start, start + length));
    const devices = isObject(parsed) ? parsed["devices"] : undefined;
    return Array.isArray(devices) ? { devices } : missing;
  } catch {
    return missing;
  }
}

/** It has the size of a page first, or, as QEMU 10 writes it, behind the configuration section's. */
function descriptionStart(data: Buffer): number | undefined {
  const inside = data.lastIndexOf('"page_size"');
  for (let start = inside; start >= 5 && inside - start < MAX_DESCRIPTION; start--) {
    // In the text itself no such byte stands.
    if (data[start - 5] === VMDESCRIPTION && data[start] === BRACE) return start;
  }
  return undefined;
}

/** Where each field begins, counted from the first; undefined where a size makes no sense. */
function fieldPlaces(
  fields: unknown,
): { readonly fields: ReadonlyMap<string, Place>; readonly size: number } | undefined {
  if (!Array.isArray(fields) || fields.length > MAX_FIELDS) return undefined;
  const places = new Map<string, Place>();
  let offset = 0;
  for (const field of fields as readonly unknown[]) {
    if (!isObject(field)) return undefined;
    const { name, size, array_len: count = 1 } = field;
    if (typeof name !== "string" || !isCount(size) || !isCount(count)) return undefined;
    if (!places.has(name)) places.set(name, { offset, size });
    offset += size * count;
  }
  return { fields: places, size: offset };
}

/** Where the first field lies: behind a header that is there once, and before what ends a section. */
function sectionStart(
  data: Buffer,
  instance: number,
  version: number,
  size: number,
): number | undefined {
  const wanted = Buffer.alloc(HEADER - 5);
  wanted.write("\x03cpu", "latin1");
  wanted.writeUInt32BE(instance >>> 0, 4);
  wanted.writeUInt32BE(version >>> 0, 8);
  let found: number | undefined;
  for (let at = data.indexOf(wanted); at >= 0; at = data.indexOf(wanted, at + 1)) {
    const start = at + wanted.length;
    const end = data[start + size];
    const isSection = at >= 5 && data[at - 5] === SECTION_FULL;
    if (!isSection || (end !== SUBSECTION && end !== SECTION_FOOTER)) continue;
    if (found !== undefined) return undefined;
    found = start;
  }
  return found;
}

function readState(
  data: Buffer,
  start: number,
  fields: ReadonlyMap<string, Place>,
): VcpuState | undefined {
  let whole = true;
  const word = (name: string, size: number, within = 0): bigint => {
    const place = fields.get(name);
    const at = start + (place?.offset ?? 0) + within;
    if (place?.size === size && at + 8 <= data.length) return data.readBigUInt64BE(at);
    whole = false;
    return 0n;
  };
  const segment = (name: string): bigint => word(name, 20, SEGMENT_BASE);
  const state = {
    cr0: word("env.cr[0]", 8),
    cr3: word("env.cr[3]", 8),
    cr4: word("env.cr[4]", 8),
    efer: word("env.efer", 8),
    lstar: word("env.lstar", 8),
    idtBase: segment("env.idt"),
    gdtBase: segment("env.gdt"),
  };
  return whole ? state : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 24;
}
