import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { enumNames } from "./enum-names.ts";
import type { Kernel } from "./kernel.ts";
import { XArrays } from "./xarray.ts";

/** A BPF map. */
export type BpfMap = {
  readonly id: number;
  /** `hash`, `array`, `ringbuf` …: enum bpf_map_type; the number where that has no name. */
  readonly type: string;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** As given to BPF_MAP_CREATE (BPF_F_…). */
  readonly flags: number;
  /** User space can no longer change it. */
  readonly frozen: boolean;
  readonly btf: number | undefined;
  /** Address of its struct bpf_map. */
  readonly map: GuestVirtual;
};

const BPF_OBJ_NAME_LEN = 16;

/** Decodes `struct bpf_map` (include/linux/bpf.h). */
export class BpfMaps {
  readonly #kernel: Kernel;
  readonly #types: ReadonlyMap<number, string>;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#types = enumNames(kernel, "bpf_map_type", "BPF_MAP_TYPE_");
  }

  /** All maps that user space could ask for (`map_idr`, kernel/bpf/syscall.c), by id. */
  *all(budget: Budget, problem?: (reason: string) => void): Generator<BpfMap> {
    const idr = this.#kernel.requireSymbol("map_idr");
    for (const { index, pointer } of new XArrays(this.#kernel).idrEntries(idr, budget, problem)) {
      const map = this.decode(pointer);
      if (map.id === index) yield map;
    }
  }

  decode(map: GuestVirtual): BpfMap {
    const kernel = this.#kernel;
    const own = (member: string): number => kernel.reader("bpf_map", member)(map);
    const type = own("map_type");
    const btf = own("btf");
    return {
      id: own("id"),
      type: this.#types.get(type) ?? String(type),
      name: kernel.space.string(own("name"), BPF_OBJ_NAME_LEN) ?? "",
      keySize: own("key_size"),
      valueSize: own("value_size"),
      maxEntries: own("max_entries"),
      flags: own("map_flags"),
      frozen: own("frozen") === 1,
      btf: btf < 0 ? kernel.reader("btf", "id")(btf) : undefined,
      map,
    };
  }
}
