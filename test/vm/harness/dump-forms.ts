import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import type { OpenDumpOptions } from "../../../src/memory/open-dump.ts";
import type { PhysicalMemory, PhysicalRange } from "../../../src/memory/physical-memory.ts";
import {
  avmlBlock,
  avmlHeader,
  kdump,
  limeBlock,
  limeHeader,
} from "../../fixtures/dump-writers.ts";
import type { Codec } from "../../fixtures/dump-writers.ts";
import type { Guest } from "./guest.ts";

const MIB = 2 ** 20;
const PAGE = 4096;

/** A stopped guest and its memory, as kvmsec reads it live. */
export type Stopped = { readonly guest: Guest; readonly memory: PhysicalMemory };

/** One way of writing a guest's memory into a file. */
export type DumpForm = {
  readonly name: string;
  readonly make: (stopped: Stopped, path: string) => Promise<void> | void;
  /** How it has to be opened. */
  readonly options?: (memory: PhysicalMemory) => OpenDumpOptions;
};

/**
 * Every form that kvmsec reads: made by QEMU where it can, else by the tests' own writers (Debian's
 * QEMU 7.2 writes ELF and zlib only). What makedumpfile writes, test/vm/dumps.test.ts compares page
 * by page.
 */
export const dumpForms: readonly DumpForm[] = [
  { name: "ELF", make: byQemu({}) },
  { name: "ELF with paging", make: byQemu({ paging: true }) },
  { name: "kdump-zlib", make: byQemu({ format: "kdump-zlib" }) },
  { name: "kdump-lzo", make: byQemu({ format: "kdump-lzo" }, kdumpWith("lzo")) },
  { name: "kdump-snappy", make: byQemu({ format: "kdump-snappy" }, kdumpWith("snappy")) },
  { name: "kdump-zstd", make: kdumpWith("zstd") },
  { name: "kdump, not compressed", make: kdumpWith("none") },
  { name: "LiME", make: inBlocks(MIB, limeHeader, limeBlock) },
  { name: "AVML", make: inBlocks(16 * MIB, avmlHeader, avmlBlock) },
  { name: "raw, with the hole", make: raw(false) },
  {
    name: "raw, without the hole",
    make: raw(true),
    options: ({ ranges }) => (ranges.length > 1 ? { lowSize: ranges[0].size } : {}),
  },
];

function byQemu(
  args: Readonly<Record<string, unknown>>,
  otherwise?: DumpForm["make"],
): DumpForm["make"] {
  return async (stopped, path) => {
    const { guest } = stopped;
    const { formats } = (await guest.qmp("query-dump-guest-memory-capability")) as {
      readonly formats: readonly unknown[];
    };
    if (otherwise !== undefined && !formats.includes(args["format"])) {
      return otherwise(stopped, path);
    }
    await guest.qmp("dump-guest-memory", { paging: false, protocol: `file:${path}`, ...args });
  };
}

function kdumpWith(codec: Codec): DumpForm["make"] {
  return ({ memory }, path) => {
    const copy = new Copy(memory);
    const ram = {
      ranges: memory.ranges,
      read: (physical: number, length: number) => copy.bytes(physical, length),
      isZero: (physical: number) => isZero(copy.bytes(physical, PAGE)),
      *addresses() {
        for (const { start, size } of memory.ranges) {
          for (let at = start; at < start + size; at += PAGE) yield at;
        }
      },
    };
    writeFileSync(path, kdump(ram, { codec }));
  };
}

/** Block by block; the body of one that is empty is worked out once. */
function inBlocks(
  step: number,
  header: (start: number, size: number) => Uint8Array,
  form: (start: number, bytes: Uint8Array) => readonly Uint8Array[],
): DumpForm["make"] {
  return ({ memory }, path) => {
    const copy = new Copy(memory);
    const [, ...emptyBody] = form(0, new Uint8Array(step));
    const fd = openSync(path, "w");
    try {
      let at = 0;
      for (const [start, length] of memory.ranges.flatMap((range) => [...steps(range, step)])) {
        const bytes = copy.bytes(start, length);
        const empty = length === step && isZero(bytes);
        const parts = empty ? [header(start, length), ...emptyBody] : form(start, bytes);
        for (const part of parts) {
          // What is zero stays a hole.
          if (!isZero(part)) writeSync(fd, part, 0, part.length, at);
          at += part.length;
        }
      }
      ftruncateSync(fd, at);
    } finally {
      closeSync(fd);
    }
  };
}

/** The file has holes where memory is empty. */
function raw(collapsed: boolean): DumpForm["make"] {
  return ({ memory }, path) => {
    const copy = new Copy(memory);
    const fd = openSync(path, "w");
    try {
      let end = 0;
      for (const range of memory.ranges) {
        const base = collapsed ? end : range.start;
        for (const [start, length] of steps(range, MIB)) {
          const bytes = copy.bytes(start, length);
          if (!isZero(bytes)) writeSync(fd, bytes, 0, length, base + start - range.start);
        }
        end = base + range.size;
      }
      ftruncateSync(fd, end);
    } finally {
      closeSync(fd);
    }
  };
}

function* steps({ start, size }: PhysicalRange, step: number): Generator<[number, number]> {
  for (let at = 0; at < size; at += step) yield [start + at, Math.min(step, size - at)];
}

/** Reads no page that the guest never touched: in a RAM file that would make one. */
class Copy {
  readonly #memory: PhysicalMemory;
  readonly #populated: readonly PhysicalRange[];
  /** Questions come in ascending order, mostly. */
  #near = 0;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
    this.#populated = memory.populated?.() ?? memory.ranges;
  }

  bytes(physical: number, length: number): Uint8Array {
    if (!this.#touched(physical, physical + length)) return new Uint8Array(length);
    const bytes = this.#memory.bytes(physical, length);
    if (bytes === undefined) throw new Error(`0x${physical.toString(16)} cannot be read`);
    return bytes;
  }

  #touched(from: number, to: number): boolean {
    const parts = this.#populated;
    const isBehind = ({ start, size }: PhysicalRange): boolean => start + size > from;
    if (this.#near > 0 && isBehind(parts[this.#near - 1])) this.#near = 0;
    while (this.#near < parts.length && !isBehind(parts[this.#near])) this.#near++;
    return this.#near < parts.length && parts[this.#near].start < to;
  }
}

function isZero(bytes: Uint8Array): boolean {
  const zeros = Buffer.alloc(Math.min(bytes.length, MIB));
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}
