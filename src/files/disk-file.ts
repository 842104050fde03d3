import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import type { Stats } from "node:fs";
import type { DiskBytes } from "../formats/disk/disk-bytes.ts";

/**
 * A file or block device of the host as it is, opened read-only. QEMU's locks on images are
 * advisory (fcntl(2)) and are neither taken nor asked for: its writer is not disturbed.
 */
export class DiskFile implements DiskBytes, Disposable {
  /** Its name, for people. */
  readonly path: string;
  readonly size: number;
  /** Device and inode: which file it is, whatever its name. */
  readonly identity: string;
  readonly #fd: number;

  private constructor(path: string, fd: number, stat: Stats) {
    this.path = path;
    this.#fd = fd;
    this.size = stat.isBlockDevice() ? deviceSize(stat.rdev) : stat.size;
    this.identity = fileIdentity(stat);
  }

  /** Throws what open(2) and fstat(2) say. */
  static open(path: string, name = path): DiskFile {
    // Not to wait for a writer, should it have become a pipe since it was looked at.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return new DiskFile(name, fd, fstatSync(fd));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  read(position: number, target: Uint8Array): boolean {
    if (!(position >= 0 && position + target.length <= this.size)) return false;
    try {
      for (let done = 0; done < target.length;) {
        const got = readSync(this.#fd, target, done, target.length - done, position + done);
        if (got === 0) return false;
        done += got;
      }
      return true;
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Which file it is: a device by its number, since it has many names. */
export function fileIdentity(stat: Stats): string {
  return stat.isBlockDevice() ? `device ${stat.rdev}` : `${stat.dev}:${stat.ino}`;
}

/** Bytes of a block device, which sysfs counts in sectors of 512. */
function deviceSize(device: number): number {
  // Minor and major of the dev_t that stat(2) gives: gnu_dev_major(3).
  const major = Math.floor(device / 2 ** 8) % 2 ** 12;
  const minor = (device % 2 ** 8) + Math.floor(device / 2 ** 20) * 2 ** 8;
  return Number(readFileSync(`/sys/dev/block/${major}:${minor}/size`, "utf8")) * 512;
}
