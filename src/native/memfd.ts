import { closeSync, ftruncateSync } from "node:fs";
import { libc, systemError } from "./libc.ts";

// Safe: the name is copied before the call returns; the rest are numbers (memfd_create(2)).
const memfdCreate = libc.func("int memfd_create(const char *name, unsigned int flags)");
// Safe: with F_ADD_SEALS the third argument is a number (fcntl(2)).
const fcntl = libc.func("int fcntl(int fd, int command, int argument)");

// include/uapi/linux/memfd.h, include/uapi/linux/fcntl.h
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;

/**
 * Memory with a descriptor and no name, of a size that nobody can change any more: whoever maps it
 * cannot be hit by a file that is cut short. The caller closes it. Throws KVMSEC_SYSTEM_CALL.
 */
export function makeMemfd(name: string, size: number): number {
  const fd = memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING) as number;
  if (fd < 0) throw systemError("memfd_create");
  try {
    ftruncateSync(fd, size);
    const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
    if ((fcntl(fd, F_ADD_SEALS, seals) as number) !== 0) throw systemError("fcntl F_ADD_SEALS");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
