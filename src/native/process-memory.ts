import koffi from "koffi";
import { errnoName, libc } from "./libc.ts";

// int64_t stands for ssize_t; a BigUint64Array of (address, length) for struct iovec.
const processVmReadv = libc.func(
  "int64_t process_vm_readv(int pid, const void *local, unsigned long localCount, const void *remote, unsigned long remoteCount, unsigned long flags)",
);

/** Reads the memory of one other process with process_vm_readv(2). */
export class ProcessReader {
  readonly #pid: number;
  // Buffers of their own, outside V8's moving heap, so that their addresses hold during a call.
  readonly #local = new BigUint64Array(new ArrayBuffer(16));
  readonly #remote = new BigUint64Array(new ArrayBuffer(16));

  constructor(pid: number) {
    this.#pid = pid;
  }

  /**
   * Fills `target` from `address` on. Returns the number of bytes read, fewer than asked where
   * the memory ends, or the name of the error (`EPERM`, `ESRCH`, `EFAULT`).
   */
  read(address: bigint, target: Uint8Array): number | string {
    this.#local[0] = koffi.address(target);
    this.#local[1] = BigInt(target.byteLength);
    this.#remote[0] = address;
    this.#remote[1] = BigInt(target.byteLength);
    // Safe: the local vector covers exactly `target`, alive during this synchronous call; the
    // kernel checks the remote vector against the other process.
    const read = Number(processVmReadv(this.#pid, this.#local, 1, this.#remote, 1, 0));
    return read < 0 ? errnoName() : read;
  }
}
