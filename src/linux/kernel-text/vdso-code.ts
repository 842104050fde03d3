import type { GuestVirtual } from "../../base/address.ts";
import type { VdsoImage } from "../vdso.ts";
import type { CodeFile, Section } from "./code-file.ts";

const NOTHING: CodeFile["tables"] = {
  mcount: undefined,
  staticCalls: undefined,
  jumpLabels: undefined,
};

/** A vDSO's pages as they lie in the kernel's file: only alternatives are patched in them. */
export class VdsoCode implements CodeFile {
  readonly sections: ReadonlyMap<string, Section>;
  readonly tables = NOTHING;
  readonly staticCallTrampolines = [];
  readonly #file: CodeFile;

  constructor(file: CodeFile, image: VdsoImage) {
    this.#file = file;
    this.sections = new Map([[".altinstructions", image.alternatives]]);
  }

  bytes(address: GuestVirtual, length: number): Uint8Array | undefined {
    return this.#file.bytes(address, length);
  }

  i32(address: GuestVirtual): number {
    return this.#file.i32(address);
  }

  pointer(address: GuestVirtual): GuestVirtual {
    return this.#file.pointer(address);
  }
}
