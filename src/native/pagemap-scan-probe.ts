import koffi from "koffi";
import { closeSync, openSync } from "node:fs";
import { errnoName, libc } from "./libc.ts";
import { mapFile } from "./mmap.ts";

// Safe: PAGEMAP_SCAN reads and writes the 96 bytes of struct pm_scan_arg, and writes at most
// `vec_len` regions of 24 bytes to `vec`; both buffers are that long and alive during the call.
const ioctl = libc.func("int ioctl(int fd, unsigned long request, _Inout_ void *argument)");

// include/uapi/linux/fs.h, since Linux 6.7
const PAGEMAP_SCAN = 0xc0606610;
const PAGE_IS_PRESENT = 1n << 3n;
const PAGE = 4096;
const PAGES = 8;
const TOUCHED = 5;

/**
 * Tries PAGEMAP_SCAN on pages of our own, one of which was written: true where it names that page,
 * else why not (`ENOTTY` before Linux 6.7).
 */
export function tryPagemapScan(): true | string {
  const zero = openSync("/dev/zero", "r+");
  const pagemap = openSync("/proc/self/pagemap", "r");
  try {
    using memory = mapFile(zero, PAGES * PAGE, true);
    const bytes = new Uint8Array(memory.buffer);
    bytes[TOUCHED * PAGE] = 1;
    const start = koffi.address(bytes);
    const regions = new BigUint64Array(3 * PAGES);
    // size, flags, start, end, walk_end, vec, vec_len, max_pages, then the four category masks:
    // inverted, all of, any of, returned.
    const end = start + BigInt(bytes.length);
    const argument = new BigUint64Array(12);
    argument.set([96n, 0n, start, end, 0n, koffi.address(regions), BigInt(PAGES)]);
    argument[9] = PAGE_IS_PRESENT;
    argument[11] = PAGE_IS_PRESENT;
    const found = ioctl(pagemap, PAGEMAP_SCAN, argument) as number;
    if (found < 0) return errnoName();
    const page = start + BigInt(TOUCHED * PAGE);
    if (found === 1 && regions[0] === page && regions[1] === page + BigInt(PAGE)) return true;
    return `it found ${found} regions, not the one page that was written`;
  } finally {
    closeSync(zero);
    closeSync(pagemap);
  }
}
