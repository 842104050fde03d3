import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** KEY_REQKEY_DEFL_THREAD_KEYRING (include/uapi/linux/keyctl.h). */
const THREAD_KEYRING = 1;

/**
 * What `struct cred` says of itself beside the rights that it gives (include/linux/cred.h), and
 * what has to agree with these in whatever the kernel made itself.
 */
export class CredentialRecords {
  /** Who holds it: each task by its `real_cred` and by its `cred`, and files. */
  readonly usage: Reader;
  /** Of the `user_struct`: set_user (kernel/sys.c) gives a new one to whoever changes its uid. */
  readonly accountUid: Reader;
  /** Of the `ucounts` (5.14): set_cred_ucounts keeps them those of `uid` in `user_ns`. */
  readonly countedUid: Reader | undefined;
  readonly countedNamespace: Reader | undefined;
  readonly #jitKeyring: Reader | undefined;
  readonly #sessionKeyring: Reader | undefined;

  /** Throws KVMSEC_TYPE_MISSING. */
  constructor(kernel: Kernel) {
    const cred = (path: string): Reader => kernel.reader("cred", path);
    const user = cred("user");
    const userUid = kernel.reader("user_struct", "uid.val");
    // Atomic, and 64 bits wide since 6.7.
    this.usage = kernel.readerOf("cred", "usage.counter", "usage") ?? cred("usage.counter");
    this.accountUid = (object) => userUid(user(object));
    const ucounts = kernel.readerOf("cred", "ucounts");
    const countedUid = kernel.readerOf("ucounts", "uid.val");
    const countedNamespace = kernel.readerOf("ucounts", "ns");
    this.countedUid = chain(ucounts, countedUid);
    this.countedNamespace = chain(ucounts, countedNamespace);
    this.#jitKeyring = kernel.readerOf("cred", "jit_keyring");
    this.#sessionKeyring = kernel.readerOf("cred", "session_keyring");
  }

  /**
   * Whether prepare_kernel_cred (kernel/cred.c) made it, or what it was copied from: only there do
   * credentials without a session keyring get the thread keyring as the place for requested keys.
   * A program would have to ask for that itself (KEYCTL_SET_REQKEY_KEYRING).
   */
  madeForKernel(cred: GuestVirtual): boolean {
    if (this.#jitKeyring === undefined || this.#sessionKeyring === undefined) return false;
    return this.#jitKeyring(cred) === THREAD_KEYRING && this.#sessionKeyring(cred) === 0;
  }
}

function chain(first: Reader | undefined, second: Reader | undefined): Reader | undefined {
  if (first === undefined || second === undefined) return undefined;
  return (object: GuestVirtual) => second(first(object));
}
