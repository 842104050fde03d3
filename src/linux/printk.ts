import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { KvmsecError } from "../base/errors.ts";
import type { Kernel } from "./kernel.ts";
import { TextRing } from "./printk-text-ring.ts";
import type { Reader } from "./member-reader.ts";

/** One record of the kernel's log. */
export type LogRecord = {
  readonly seq: number;
  /** Nanoseconds on the processor's clock since boot (local_clock). */
  readonly nanoseconds: number;
  readonly facility: string;
  readonly level: string;
  /** `T123` a task, `C0` an interrupt on a processor. */
  readonly caller: string;
  /** Name of the task, where the kernel keeps it (7.0 and later, if so configured). */
  readonly comm: string | undefined;
  readonly text: string;
  /** The device that it is about, as /dev/kmsg tells in its dictionary. */
  readonly subsystem: string | undefined;
  readonly device: string | undefined;
  /** It lies before the point to which `dmesg --clear` has hidden the log. */
  readonly cleared: boolean;
};

/** The upper two bits of a descriptor's state variable (kernel/printk/printk_ringbuffer.h). */
const STATE_SHIFT = 62n;
const ID_MASK = (1n << STATE_SHIFT) - 1n;
const FINALIZED = 2n;
/** 2^24 records would take a log of 512 MiB. */
const MAX_COUNT_BITS = 24;
/** Printk.prefix and one record's text: LOG_LINE_MAX is 1,024, PRINTKRB_RECORD_MAX 1,024. */
const SUBSYSTEM_LENGTH = 16;
const DEVICE_LENGTH = 48;
const COMM_LENGTH = 16;

const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"] as const;
/** Syslog's (include/uapi/linux/syslog… and RFC 5424, 6.2.1), by number. */
const FACILITIES =
  "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console clock local0 local1 local2 local3 local4 local5 local6 local7".split(
    " ",
  );

/**
 * The kernel's log: `prb`, a ring of descriptors that own pieces of a ring of text
 * (kernel/printk/printk_ringbuffer.c, since 5.10). It is written without locks, so a record counts
 * only if its descriptor is final and says the same after its text was copied.
 */
export class KernelLog {
  readonly #kernel: Kernel;
  readonly #text: TextRing;
  readonly #ring: GuestVirtual;
  readonly #count: bigint;
  readonly #descriptors: GuestVirtual;
  readonly #infos: GuestVirtual;
  readonly #descriptorSize: number;
  readonly #infoSize: number;
  readonly #clearSeq: number;
  readonly #info: InfoReaders;

  /** Throws KVMSEC_LOG_UNREADABLE where the ring is none. */
  constructor(kernel: Kernel) {
    const ring = kernel.space.pointer(kernel.requireSymbol("prb"));
    const reader = (path: string): number => kernel.reader("printk_ringbuffer", path)(ring);
    const bits = reader("desc_ring.count_bits");
    if (!(bits > 0 && bits <= MAX_COUNT_BITS)) throw unreadable(`it has 2^${bits} descriptors`);
    this.#kernel = kernel;
    this.#ring = ring;
    this.#count = 1n << BigInt(bits);
    this.#descriptors = reader("desc_ring.descs");
    this.#infos = reader("desc_ring.infos");
    this.#descriptorSize = kernel.types.size("prb_desc");
    this.#infoSize = kernel.types.size("printk_info");
    this.#clearSeq = clearSeq(kernel);
    this.#info = infoReaders(kernel);
    const text = TextRing.open(
      kernel,
      reader("text_data_ring.data"),
      reader("text_data_ring.size_bits"),
    );
    if (text === undefined) throw unreadable("its text ring cannot be read");
    this.#text = text;
  }

  /** All records from the oldest on. Those being written or overwritten right now are left out. */
  *records(budget: Budget, problem: (reason: string) => void): Generator<LogRecord> {
    const tail = this.#id("tail_id");
    const head = this.#id("head_id");
    if (tail === undefined || head === undefined) return problem("the log cannot be read");
    const length = ((head - tail) & ID_MASK) + 1n;
    if (length > this.#count) return problem("the log's head and tail do not fit together");
    for (let step = 0n; step < length; step++) {
      if (!budget.step()) return problem("the log took too long to read");
      const record = this.#record((tail + step) & ID_MASK);
      if (record !== undefined) yield record;
    }
  }

  #id(member: "head_id" | "tail_id"): bigint | undefined {
    const at = this.#kernel.reader("printk_ringbuffer", `desc_ring.${member}`)(this.#ring);
    const id = this.#kernel.space.u64(at);
    return id === undefined ? undefined : id & ID_MASK;
  }

  #record(id: bigint): LogRecord | undefined {
    const index = Number(id % this.#count);
    const descriptor = this.#descriptors + index * this.#descriptorSize;
    const state = this.#state(descriptor);
    if (state === undefined || state >> STATE_SHIFT !== FINALIZED || (state & ID_MASK) !== id) {
      return undefined;
    }
    const { space } = this.#kernel;
    const position = this.#kernel.offset("prb_desc", "text_blk_lpos");
    const begin = space.u64(descriptor + position);
    const next = space.u64(descriptor + position + 8);
    const info = this.#infos + index * this.#infoSize;
    const length = this.#info.textLength(info);
    if (begin === undefined || next === undefined || length !== length) return undefined;
    const text = this.#text.read({ id, begin, next, length });
    if (text === undefined) return undefined;
    const record = this.#decode(info, text);
    this.#kernel.lookAgain();
    return this.#state(descriptor) === state ? record : undefined;
  }

  #state(descriptor: GuestVirtual): bigint | undefined {
    const at = this.#kernel.offset("prb_desc", "state_var");
    return this.#kernel.space.u64(descriptor + at);
  }

  #decode(info: GuestVirtual, text: string): LogRecord {
    const read = this.#info;
    const seq = read.seq(info);
    const facility = read.facility(info);
    const level = read.level(info);
    const word = (at: Reader | undefined, length: number): string | undefined =>
      at === undefined ? undefined : this.#kernel.space.string(at(info), length) || undefined;
    return {
      seq,
      nanoseconds: read.time(info),
      facility: FACILITIES[facility] ?? String(facility),
      level: LEVELS[level] ?? String(level),
      caller: callerText(read.caller(info)),
      comm: word(read.comm, COMM_LENGTH),
      text,
      subsystem: word(read.subsystem, SUBSYSTEM_LENGTH),
      device: word(read.device, DEVICE_LENGTH),
      cleared: seq < this.#clearSeq,
    };
  }
}

type InfoReaders = ReturnType<typeof infoReaders>;

function infoReaders(kernel: Kernel) {
  const reader = (path: string): Reader => kernel.reader("printk_info", path);
  return {
    seq: reader("seq"),
    time: reader("ts_nsec"),
    textLength: reader("text_len"),
    facility: reader("facility"),
    level: reader("level"),
    caller: reader("caller_id"),
    comm: kernel.readerOf("printk_info", "comm"),
    subsystem: kernel.readerOf("printk_info", "dev_info.subsystem"),
    device: kernel.readerOf("printk_info", "dev_info.device"),
  };
}

/** printk_caller_id (kernel/printk/printk.c): the upper bit says that there was no task. */
function callerText(id: number): string {
  return id >= 0x8000_0000 ? `C${id - 0x8000_0000}` : `T${id}`;
}

/** A plain number before 5.13, then two behind a latch, of which readers take the one it names. */
function clearSeq(kernel: Kernel): number {
  const at = kernel.symbol("clear_seq");
  const values = kernel.readerOf("latched_seq", "val");
  if (values === undefined) return kernel.space.count(at);
  const latch = kernel.space.u32(at);
  return kernel.space.count(values(at) + (latch % 2) * 8);
}

function unreadable(why: string): KvmsecError {
  return new KvmsecError("KVMSEC_LOG_UNREADABLE", `The kernel's log cannot be read: ${why}.`, {
    hint: "The guest's memory is damaged or was forged.",
  });
}
