import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { integerReader } from "./member-reader.ts";
import type { Reader } from "./member-reader.ts";

/** A parameter of a module, as /sys/module/NAME/parameters shows it. */
export type ModuleParameter = {
  readonly name: string;
  /** As the file reads; undefined where the module formats it itself. */
  readonly value: string | undefined;
  /** Mode of the file; 0 where there is none. */
  readonly mode: number;
};

/** The module with the most, of Debian's, has under 100. */
const MAX_PARAMETERS = 1024;
const MAX_NAME = 64;
const MAX_TEXT = 4096;
const MAX_ELEMENTS = 1024;

/** Formats the value at an address. */
type Format = (value: GuestVirtual) => string | undefined;

/** Decodes `struct kernel_param` (include/linux/moduleparam.h). */
export class ModuleParameters {
  readonly #kernel: Kernel;
  readonly #list: Reader;
  readonly #count: Reader;
  readonly #size: number;
  readonly #formats: ReadonlyMap<GuestVirtual, Format>;
  readonly #arrayOperations: GuestVirtual;
  readonly #stringOperations: GuestVirtual;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#list = kernel.readerOrFault("module", "kp");
    this.#count = kernel.readerOrFault("module", "num_kp");
    this.#size = kernel.types.size("kernel_param");
    this.#formats = formats(kernel);
    this.#arrayOperations = kernel.symbol("param_array_ops");
    this.#stringOperations = kernel.symbol("param_ops_string");
  }

  /** A module's parameters in the order of their declaration; those that cannot be read are left out. */
  of(module: GuestVirtual): ModuleParameter[] {
    const list = this.#list(module);
    const count = Math.min(this.#count(module), MAX_PARAMETERS);
    const parameters: ModuleParameter[] = [];
    for (let index = 0; index < count; index++) {
      const parameter = this.#decode(list + index * this.#size);
      if (parameter !== undefined) parameters.push(parameter);
    }
    return parameters;
  }

  #decode(parameter: GuestVirtual): ModuleParameter | undefined {
    const own = (member: string): number => this.#kernel.reader("kernel_param", member)(parameter);
    const name = this.#kernel.space.string(own("name"), MAX_NAME);
    if (name === undefined || name === "") return undefined;
    return { name, mode: own("perm"), value: this.#value(own("ops"), own("arg")) };
  }

  /** `argument` is what the parameter points to: a value, or the description of an array or a string. */
  #value(operations: GuestVirtual, argument: GuestVirtual): string | undefined {
    const { space } = this.#kernel;
    if (operations === this.#stringOperations) {
      return space.string(this.#kernel.reader("kparam_string", "string")(argument), MAX_TEXT);
    }
    if (operations === this.#arrayOperations) return this.#array(argument);
    return this.#formats.get(operations)?.(argument);
  }

  #array(array: GuestVirtual): string | undefined {
    const own = (member: string): number => this.#kernel.reader("kparam_array", member)(array);
    const counter = own("num");
    const count = counter < 0 ? this.#kernel.space.u32(counter) : own("max");
    const format = this.#formats.get(own("ops"));
    if (format === undefined || !(count <= MAX_ELEMENTS)) return undefined;
    const start = own("elem");
    const size = own("elemsize");
    const values = Array.from({ length: count }, (_, index) => format(start + index * size));
    return values.includes(undefined) ? undefined : values.join(",");
  }
}

/** The kernel's own kinds of values, by the address of their operations (kernel/params.c). */
function formats(kernel: Kernel): Map<GuestVirtual, Format> {
  const { space } = kernel;
  const integer = (size: number, signed: boolean): Format => {
    const read = integerReader(space, 0, size, signed);
    return (value) => known(read(value));
  };
  const flag = (no: string, yes: string): Format => {
    return (value) => [no, yes][space.u8(value)];
  };
  const text: Format = (value) => {
    const at = space.pointer(value);
    return at === 0 ? "(null)" : space.string(at, MAX_TEXT);
  };
  const all: Readonly<Record<string, Format>> = {
    byte: integer(1, false),
    short: integer(2, true),
    ushort: integer(2, false),
    int: integer(4, true),
    uint: integer(4, false),
    long: integer(8, true),
    ulong: (value) => space.u64(value)?.toString(),
    ullong: (value) => space.u64(value)?.toString(),
    hexint: (value) => {
      const number = space.u32(value);
      return number === number ? `0x${number.toString(16).padStart(8, "0")}` : undefined;
    },
    charp: text,
    bool: flag("N", "Y"),
    bool_enable_only: flag("N", "Y"),
    invbool: flag("Y", "N"),
    bint: (value) => {
      const number = space.i32(value);
      return number === number ? (number === 0 ? "N" : "Y") : undefined;
    },
  };
  const byAddress = Object.entries(all).map(([name, format]): [GuestVirtual, Format] => [
    kernel.symbol(`param_ops_${name}`),
    format,
  ]);
  return new Map(byAddress.filter(([address]) => address < 0));
}

function known(value: number): string | undefined {
  return value === value ? String(value) : undefined;
}
