import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** An XDP program that sees a device's packets before the kernel does. */
export type XdpProgram = {
  /** `generic`, `driver` or `offload` (enum bpf_xdp_mode). */
  readonly mode: string;
  readonly id: number;
  readonly name: string | undefined;
  /** Address of its `struct bpf_prog`. */
  readonly program: GuestVirtual;
};

const MODES = ["generic", "driver", "offload"];
const BPF_OBJ_NAME_LEN = 16;

/** Reads `net_device.xdp_state` (include/linux/netdevice.h). */
export class XdpPrograms {
  readonly #kernel: Kernel;
  readonly #states: number;
  readonly #size: number;
  readonly #count: number;
  readonly #program: Reader;
  readonly #link: Reader;
  readonly #linkProgram: Reader;
  readonly #aux: Reader;
  readonly #id: Reader;
  readonly #name: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#states = kernel.offset("net_device", "xdp_state");
    this.#size = kernel.types.size("bpf_xdp_entity");
    this.#count = Math.min(kernel.types.length("net_device", "xdp_state"), MODES.length);
    this.#program = kernel.reader("bpf_xdp_entity", "prog");
    this.#link = kernel.reader("bpf_xdp_entity", "link");
    this.#linkProgram = kernel.reader("bpf_xdp_link", "link.prog");
    this.#aux = kernel.reader("bpf_prog", "aux");
    this.#id = kernel.reader("bpf_prog_aux", "id");
    this.#name = kernel.reader("bpf_prog_aux", "name");
  }

  /** Those of a `struct net_device`; it may have one a mode. */
  of(device: GuestVirtual): XdpProgram[] {
    const found: XdpProgram[] = [];
    for (let mode = 0; mode < this.#count; mode++) {
      const entity = device + this.#states + mode * this.#size;
      const link = this.#link(entity);
      const program = link === 0 ? this.#program(entity) : this.#linkProgram(link);
      if (program === 0 || program !== program) continue;
      const aux = this.#aux(program);
      const name = this.#kernel.space.string(this.#name(aux), BPF_OBJ_NAME_LEN);
      found.push({ mode: MODES[mode] ?? "?", id: this.#id(aux), name, program });
    }
    return found;
  }
}
