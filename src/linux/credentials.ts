import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** What a task may do, from its `struct cred` (include/linux/cred.h). */
export type Credentials = {
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly suid: number;
  readonly sgid: number;
  readonly fsuid: number;
  readonly fsgid: number;
  /** Capability sets as bit masks; undefined where they cannot be read. */
  readonly effective: bigint | undefined;
  readonly permitted: bigint | undefined;
  readonly inheritable: bigint | undefined;
  readonly bounding: bigint | undefined;
  readonly ambient: bigint | undefined;
};

/** Decodes `struct cred`; ids are the kernel's own (`kuid_t`), as the initial user namespace sees them. */
export class CredentialsDecoder {
  readonly #kernel: Kernel;
  readonly #ids: Record<
    "uid" | "gid" | "euid" | "egid" | "suid" | "sgid" | "fsuid" | "fsgid",
    Reader
  >;
  readonly #sets: Record<"effective" | "permitted" | "inheritable" | "bset" | "ambient", number>;
  readonly userNamespace: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const id = (name: string): Reader => kernel.reader("cred", `${name}.val`);
    this.#ids = {
      uid: id("uid"),
      gid: id("gid"),
      euid: id("euid"),
      egid: id("egid"),
      suid: id("suid"),
      sgid: id("sgid"),
      fsuid: id("fsuid"),
      fsgid: id("fsgid"),
    };
    // kernel_cap_t was two 32-bit words and is one 64-bit value since 6.3: the same eight bytes.
    const set = (name: string): number => kernel.offset("cred", `cap_${name}`);
    this.#sets = {
      effective: set("effective"),
      permitted: set("permitted"),
      inheritable: set("inheritable"),
      bset: set("bset"),
      ambient: set("ambient"),
    };
    this.userNamespace = kernel.reader("cred", "user_ns");
  }

  uid(cred: GuestVirtual): number {
    return this.#ids.uid(cred);
  }

  gid(cred: GuestVirtual): number {
    return this.#ids.gid(cred);
  }

  effective(cred: GuestVirtual): bigint | undefined {
    return this.#kernel.space.u64(cred + this.#sets.effective);
  }

  /** Everything at once. */
  decode(cred: GuestVirtual): Credentials {
    const ids = this.#ids;
    const set = (offset: number): bigint | undefined => this.#kernel.space.u64(cred + offset);
    return {
      uid: ids.uid(cred),
      gid: ids.gid(cred),
      euid: ids.euid(cred),
      egid: ids.egid(cred),
      suid: ids.suid(cred),
      sgid: ids.sgid(cred),
      fsuid: ids.fsuid(cred),
      fsgid: ids.fsgid(cred),
      effective: set(this.#sets.effective),
      permitted: set(this.#sets.permitted),
      inheritable: set(this.#sets.inheritable),
      bounding: set(this.#sets.bset),
      ambient: set(this.#sets.ambient),
    };
  }
}
