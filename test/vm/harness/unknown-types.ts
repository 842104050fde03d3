import type { MemberPath } from "../../../src/formats/btf.ts";
import { Kernel } from "../../../src/linux/kernel.ts";
import { Types } from "../../../src/linux/types.ts";

/** The same kernel, as if a newer one had another name for that struct and all its members. */
export function withoutStruct(kernel: Kernel, struct: string): Kernel {
  const { memory, image, space, symbols, identity, warnings } = kernel;
  const types = new Renamed(kernel.types, struct);
  return new Kernel({ memory, image, space, symbols, types, identity, warnings });
}

class Renamed extends Types {
  readonly #struct: string;

  constructor({ source }: Types, struct: string) {
    super(source);
    this.#struct = struct;
  }

  override struct(name: string): number {
    return name === this.#struct ? 0 : super.struct(name);
  }

  override member(struct: string, path: string): MemberPath | undefined {
    return struct === this.#struct ? undefined : super.member(struct, path);
  }
}
