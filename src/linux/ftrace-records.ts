import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A kernel with many modules has some 150,000. */
const MAX_RECORDS = 1 << 20;
const MAX_PAGES = 1 << 14;
/** More than the page allocator gives at once. */
const MAX_ORDER = 10;

/**
 * Where ftrace may patch, ascending: the addresses of all its records, of the kernel and of modules
 * (`ftrace_pages_start`, kernel/trace/ftrace.c). Undefined where the list cannot be read to its end.
 */
export function ftraceRecords(kernel: Kernel): Float64Array | undefined {
  let page = kernel.space.pointer(kernel.symbol("ftrace_pages_start"));
  if (page !== page || !kernel.types.has("ftrace_page", "records")) return undefined;
  const next = kernel.reader("ftrace_page", "next");
  const records = kernel.reader("ftrace_page", "records");
  const count = kernel.reader("ftrace_page", "index");
  const addresses: number[] = [];
  for (let pages = 0; page !== 0; pages++) {
    if (page !== page || pages === MAX_PAGES) return undefined;
    if (!readRecords(kernel, records(page), count(page), addresses)) return undefined;
    page = next(page);
  }
  return Float64Array.from(addresses).toSorted();
}

function readRecords(kernel: Kernel, start: GuestVirtual, count: number, into: number[]): boolean {
  const size = kernel.types.size("dyn_ftrace");
  const ip = kernel.offset("dyn_ftrace", "ip");
  // A signed number in the kernel.
  const fits = count >= 0 && count * size <= PAGE_SIZE * 2 ** MAX_ORDER;
  if (!fits || into.length + count > MAX_RECORDS) return false;
  const bytes = kernel.space.bytes(start, count * size);
  if (bytes === undefined) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = ip; at < bytes.length; at += size) {
    const { folding } = kernel.space;
    const address = folding.fold(view.getUint32(at, true), view.getUint32(at + 4, true));
    // Records of freed init code are zeroed.
    if (address < 0) into.push(address);
  }
  return true;
}
