import koffi from "koffi";
import { constants } from "node:os";
import { KvmsecError } from "../base/errors.ts";

/** The C library of the host, through which every native call goes. */
export const libc = koffi.load("libc.so.6");

/** The calling thread's errno as a name (`EPERM`), to be read right after a failed call. */
export function errnoName(): string {
  const number = koffi.errno();
  const names = Object.entries(constants.errno).find(([, value]) => value === number);
  return names?.[0] ?? `errno ${number}`;
}

/** An error that names the failed system call. */
export function systemError(call: string, hint?: string): KvmsecError {
  const name = errnoName();
  return new KvmsecError("KVMSEC_SYSTEM_CALL", `${call} failed: ${name}`, {
    cause: { code: name },
    ...(hint === undefined ? {} : { hint }),
  });
}
