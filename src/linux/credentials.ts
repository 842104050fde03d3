import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Field } from "./struct-window.ts";
import { StructWindow } from "./struct-window.ts";

/**
 * What a task may do, from its `struct cred` (include/linux/cred.h). Ids are the kernel's own
 * (`kuid_t`), as the initial user namespace sees them. NaN is what could not be read.
 */
export type Credentials = {
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly suid: number;
  readonly sgid: number;
  readonly fsuid: number;
  readonly fsgid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly securebits: number;
  readonly capabilities: Capabilities;
  /** The user_namespace that the capabilities are good for. */
  readonly userNamespace: GuestVirtual;
};

/** Capability sets as bit masks; the 41 bits of today are exact in a number. */
export type Capabilities = {
  readonly effective: number;
  readonly permitted: number;
  readonly inheritable: number;
  readonly bounding: number;
  readonly ambient: number;
};

/** NGROUPS_MAX (include/uapi/linux/limits.h). */
const NGROUPS_MAX = 65_536;

const NO_GROUPS: readonly number[] = [];

/** Decodes `struct cred`. */
export class CredentialsDecoder {
  readonly #kernel: Kernel;
  readonly #window: StructWindow;
  readonly #fields: Readonly<Record<keyof Omit<Credentials, "capabilities" | "groups">, Field>>;
  readonly #sets: Readonly<Record<keyof Capabilities, Field>>;
  readonly #groupInfo: Field;
  readonly #groupCount: (info: GuestVirtual) => number;
  readonly #groupList: number;

  constructor(kernel: Kernel) {
    const window = new StructWindow(kernel, "cred");
    const id = (name: string): Field => window.field(`${name}.val`);
    this.#kernel = kernel;
    this.#window = window;
    this.#fields = {
      uid: id("uid"),
      gid: id("gid"),
      euid: id("euid"),
      egid: id("egid"),
      suid: id("suid"),
      sgid: id("sgid"),
      fsuid: id("fsuid"),
      fsgid: id("fsgid"),
      securebits: window.field("securebits"),
      userNamespace: window.field("user_ns"),
    };
    this.#sets = {
      effective: capabilitySet(kernel, window, "cap_effective"),
      permitted: capabilitySet(kernel, window, "cap_permitted"),
      inheritable: capabilitySet(kernel, window, "cap_inheritable"),
      bounding: capabilitySet(kernel, window, "cap_bset"),
      ambient: capabilitySet(kernel, window, "cap_ambient"),
    };
    this.#groupInfo = window.field("group_info");
    this.#groupCount = kernel.reader("group_info", "ngroups");
    this.#groupList = kernel.offset("group_info", "gid");
  }

  /** The credentials at `cred`. */
  decode(cred: GuestVirtual): Credentials {
    this.#window.load(cred);
    const fields = this.#fields;
    return {
      uid: fields.uid(),
      gid: fields.gid(),
      euid: fields.euid(),
      egid: fields.egid(),
      suid: fields.suid(),
      sgid: fields.sgid(),
      fsuid: fields.fsuid(),
      fsgid: fields.fsgid(),
      groups: this.#groups(this.#groupInfo()),
      securebits: fields.securebits(),
      capabilities: {
        effective: this.#sets.effective(),
        permitted: this.#sets.permitted(),
        inheritable: this.#sets.inheritable(),
        bounding: this.#sets.bounding(),
        ambient: this.#sets.ambient(),
      },
      userNamespace: fields.userNamespace(),
    };
  }

  #groups(info: GuestVirtual): readonly number[] {
    const count = this.#groupCount(info);
    if (!(count > 0 && count <= NGROUPS_MAX)) return NO_GROUPS;
    const bytes = this.#kernel.space.bytes(info + this.#groupList, count * 4);
    return bytes === undefined ? NO_GROUPS : [...new Uint32Array(bytes.buffer)];
  }
}

/** kernel_cap_t was two 32-bit words and is one 64-bit value since 6.3: the same eight bytes. */
function capabilitySet(kernel: Kernel, window: StructWindow, member: string): Field {
  const offset = kernel.offset("cred", member);
  return () => window.word(offset) + window.word(offset + 4) * 2 ** 32;
}
