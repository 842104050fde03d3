import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { hexBytes } from "../base/hex.ts";
import { GuestClock } from "./clock.ts";
import { enumNames } from "./enum-names.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { XArrays } from "./xarray.ts";

/** A loaded BPF program. Undefined where the guest's memory did not tell. */
export type BpfProgram = {
  readonly id: number;
  /** `xdp`, `kprobe`, `cgroup_skb` …: enum bpf_prog_type; the number where that has no name. */
  readonly type: string;
  readonly name: string;
  /** Hash of its instructions, 16 hexadecimal digits. */
  readonly tag: string;
  readonly gplCompatible: boolean;
  readonly loadedAt: Date | undefined;
  /** Of the user who loaded it. */
  readonly uid: number;
  /** Bytes of instructions after the verifier rewrote them. */
  readonly translatedSize: number;
  /** Where its machine code begins, and how many bytes it has; undefined where it is interpreted. */
  readonly jited: { readonly address: GuestVirtual; readonly size: number } | undefined;
  /** Ids of the maps that it uses. */
  readonly maps: readonly number[];
  /** Id of its own BTF. */
  readonly btf: number | undefined;
  /** The kernel function or program that it was loaded for (tracing, LSM, extension). */
  readonly attachFunction: string | undefined;
  /** Address of its struct bpf_prog. */
  readonly program: GuestVirtual;
};

const BPF_OBJ_NAME_LEN = 16;
const TAG_SIZE = 8;
const INSTRUCTION_SIZE = 8;
/** MAX_USED_MAPS, and the most subprograms that the verifier takes (BPF_MAX_SUBPROGS). */
const MAX_USED_MAPS = 64;
const MAX_SUBPROGRAMS = 256;
const KSYM_NAME_LEN = 512;

/** Addresses of the maps that a program uses (`bpf_prog_aux.used_maps`). */
export function usedMaps(kernel: Kernel, program: GuestVirtual): GuestVirtual[] {
  const aux = kernel.reader("bpf_prog", "aux")(program);
  const maps = kernel.reader("bpf_prog_aux", "used_maps")(aux);
  const count = Math.min(kernel.reader("bpf_prog_aux", "used_map_cnt")(aux), MAX_USED_MAPS);
  const found: GuestVirtual[] = [];
  for (let index = 0; index < count; index++) found.push(kernel.space.pointer(maps + index * 8));
  return found;
}

/** Decodes `struct bpf_prog` and `struct bpf_prog_aux` (include/linux/bpf.h). */
export class BpfPrograms {
  readonly #kernel: Kernel;
  readonly #clock: GuestClock;
  readonly #types: ReadonlyMap<number, string>;
  readonly #aux: Reader;
  readonly #id: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#clock = new GuestClock(kernel);
    this.#types = enumNames(kernel, "bpf_prog_type", "BPF_PROG_TYPE_");
    this.#aux = kernel.reader("bpf_prog", "aux");
    this.#id = kernel.reader("bpf_prog_aux", "id");
  }

  /** All programs that user space could ask for (`prog_idr`, kernel/bpf/syscall.c), by id. */
  *all(budget: Budget, problem?: (reason: string) => void): Generator<BpfProgram> {
    const idr = this.#kernel.requireSymbol("prog_idr");
    for (const { index, pointer } of new XArrays(this.#kernel).idrEntries(idr, budget, problem)) {
      const program = this.decode(pointer);
      // Freed while it was read.
      if (program.id === index) yield program;
    }
  }

  /** Its id, NaN where there is none. */
  id(program: GuestVirtual): number {
    return this.#id(this.#aux(program));
  }

  decode(program: GuestVirtual): BpfProgram {
    const kernel = this.#kernel;
    const aux = this.#aux(program);
    const own = (member: string): number => kernel.reader("bpf_prog", member)(program);
    const more = (member: string): number => kernel.reader("bpf_prog_aux", member)(aux);
    const type = own("type");
    const tag = kernel.space.bytes(own("tag"), TAG_SIZE);
    const btf = more("btf");
    const user = more("user");
    return {
      id: this.#id(aux),
      type: this.#types.get(type) ?? String(type),
      name: kernel.space.string(more("name"), BPF_OBJ_NAME_LEN) ?? "",
      tag: tag === undefined ? "" : hexBytes(tag),
      gplCompatible: own("gpl_compatible") === 1,
      loadedAt: this.#clock.date(more("load_time")),
      uid: kernel.reader("user_struct", "uid.val")(user),
      translatedSize: own("len") * INSTRUCTION_SIZE,
      jited: own("jited") === 1 ? this.#jited(program, aux) : undefined,
      maps: this.#maps(program),
      btf: btf < 0 ? kernel.reader("btf", "id")(btf) : undefined,
      attachFunction: this.#text(more("attach_func_name")),
      program,
    };
  }

  /** With subprograms, each has code of its own, and the size is that of all. */
  #jited(program: GuestVirtual, aux: GuestVirtual): { address: GuestVirtual; size: number } {
    const kernel = this.#kernel;
    const sizeOf = kernel.reader("bpf_prog", "jited_len");
    const functions = kernel.reader("bpf_prog_aux", "func")(aux);
    const count = Math.min(kernel.reader("bpf_prog_aux", "func_cnt")(aux), MAX_SUBPROGRAMS);
    let size = count > 0 ? 0 : sizeOf(program);
    for (let index = 0; index < count; index++) {
      size += sizeOf(kernel.space.pointer(functions + index * 8));
    }
    return { address: kernel.reader("bpf_prog", "bpf_func")(program), size };
  }

  #maps(program: GuestVirtual): number[] {
    const id = this.#kernel.reader("bpf_map", "id");
    return usedMaps(this.#kernel, program).map((map) => id(map));
  }

  #text(address: GuestVirtual): string | undefined {
    return address < 0 ? this.#kernel.space.string(address, KSYM_NAME_LEN) : undefined;
  }
}
