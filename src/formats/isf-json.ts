/**
 * The parts of an Intermediate Symbol File (Volatility 3, schema 6) that are read here:
 *
 *     base_types: { "long int": { size, signed, kind: void|int|float|char|bool, endian } }
 *     user_types: { "task_struct": { kind: struct|union|class, size, fields:
 *                   { "pid": { offset, anonymous?, type: DESCRIPTOR } } } }
 *     enums:      { "pid_type": { size, base, constants: { "PIDTYPE_PID": 0 } } }
 *     symbols:    { "init_task": { address, type?: DESCRIPTOR, constant_data?: base64 } }
 *
 * A DESCRIPTOR is { kind: pointer|array|struct|union|class|enum|base|function|bitfield, … }.
 */
export type IsfObject = { readonly [name: string]: unknown };

export type IsfDocument = {
  readonly baseTypes: IsfObject;
  readonly userTypes: IsfObject;
  readonly enums: IsfObject;
  readonly symbols: IsfObject;
};

const MAX_SIZE = 400 * 1024 * 1024;
/**
 * Integers that a double may not hold, as addresses of the kernel are: they are put into quotes.
 * `":` outside of a string only ends a member's name.
 */
const LONG_INTEGERS = /(?<!\\)"\s*:\s*(-?\d{16,})(?=\s*[,}])/g;

/** Undefined for an object's member that is no object. */
export function member(parent: IsfObject, name: string): IsfObject | undefined {
  const value = Object.hasOwn(parent, name) ? parent[name] : undefined;
  return isObject(value) ? value : undefined;
}

export function isObject(value: unknown): value is IsfObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A size, offset or count: whole and not negative, else NaN. */
export function count(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? value
    : Number.NaN;
}

/** Any whole number; 0 for anything else. */
export function integer(value: unknown): bigint {
  if (typeof value === "string" && /^-?\d{1,20}$/.test(value)) return BigInt(value);
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : 0n;
}

/** The document, or why the bytes are none that can be used. */
export function readIsf(bytes: Uint8Array): IsfDocument | string {
  if (bytes.length > MAX_SIZE) return "larger than 400 MiB";
  let document: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    document = JSON.parse(text.replaceAll(LONG_INTEGERS, '":"$1"'));
  } catch (error) {
    return `no JSON: ${(error as Error).message}`;
  }
  if (!isObject(document)) return "no JSON object";
  const parts = ["base_types", "user_types", "enums", "symbols"].map((name) =>
    member(document, name),
  );
  const [baseTypes, userTypes, enums, symbols] = parts;
  if (baseTypes === undefined || userTypes === undefined) {
    return "neither base_types nor user_types: no symbol file";
  }
  const pointer = member(baseTypes, "pointer");
  if (pointer !== undefined && pointer["size"] !== 8) return "not of a 64-bit kernel";
  return { baseTypes, userTypes, enums: enums ?? {}, symbols: symbols ?? {} };
}
