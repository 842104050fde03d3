import type { GuestVirtual } from "../base/address.ts";
import { hexBytes } from "../base/hex.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** A program that decides which packets a socket sees (SO_ATTACH_FILTER, SO_ATTACH_BPF). */
export type SocketFilter = {
  /** Address of its `struct bpf_prog`. */
  readonly program: GuestVirtual;
  /** Instructions of the eBPF program that runs. */
  readonly length: number;
  readonly tag: string | undefined;
  /**
   * The classic program that was attached, `code jt jf k` each as `ss --bpf` prints them; undefined
   * where eBPF was attached.
   */
  readonly classic: readonly string[] | undefined;
};

/** BPF_MAXINSNS (include/uapi/linux/bpf_common.h): no longer classic program is accepted. */
const BPF_MAXINSNS = 4096;
/** struct sock_filter: code u16, jt u8, jf u8, k u32 (include/uapi/linux/filter.h). */
const SOCK_FILTER_SIZE = 8;
const TAG_SIZE = 8;

/** Decodes `struct sk_filter` and `struct bpf_prog` (include/linux/filter.h). */
export class SocketFilters {
  readonly #kernel: Kernel;
  readonly #program: Reader;
  readonly #length: Reader;
  readonly #tag: Reader;
  readonly #original: Reader;
  readonly #originalLength: Reader;
  readonly #originalCode: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#program = kernel.reader("sk_filter", "prog");
    this.#length = kernel.reader("bpf_prog", "len");
    this.#tag = kernel.reader("bpf_prog", "tag");
    this.#original = kernel.reader("bpf_prog", "orig_prog");
    this.#originalLength = kernel.reader("sock_fprog_kern", "len");
    this.#originalCode = kernel.reader("sock_fprog_kern", "filter");
  }

  /** The filter that `sk_filter` points to; undefined for none. */
  decode(filter: GuestVirtual): SocketFilter | undefined {
    if (filter === 0 || filter !== filter) return undefined;
    const program = this.#program(filter);
    const tag = this.#kernel.space.bytes(this.#tag(program), TAG_SIZE);
    // Classic programs get none.
    const tagged = tag?.some((byte) => byte !== 0) === true;
    return {
      program,
      length: this.#length(program),
      tag: tagged ? hexBytes(tag) : undefined,
      classic: this.#classic(this.#original(program)),
    };
  }

  #classic(original: GuestVirtual): string[] | undefined {
    if (original === 0 || original !== original) return undefined;
    const length = this.#originalLength(original);
    if (!(length > 0 && length <= BPF_MAXINSNS)) return undefined;
    const code = this.#kernel.space.bytes(this.#originalCode(original), length * SOCK_FILTER_SIZE);
    if (code === undefined) return undefined;
    const view = new DataView(code.buffer);
    return Array.from({ length }, (_, index) => {
      const at = index * SOCK_FILTER_SIZE;
      const [jumpTrue, jumpFalse] = code.subarray(at + 2, at + 4);
      return `0x${view.getUint16(at, true).toString(16).padStart(2, "0")} ${jumpTrue} ${jumpFalse} ${view.getUint32(at + 4, true)}`;
    });
  }
}
