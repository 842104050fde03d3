import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";

/** An array of `hlist_head` or `hlist_nulls_head`, each inside a bucket of its own. */
export type HashTable = {
  /** For people, when something is wrong with it. */
  readonly name: string;
  /** Address of the first bucket. */
  readonly address: GuestVirtual;
  /** As the guest says; not believed beyond a limit. */
  readonly buckets: number;
  /** Bytes from one bucket to the next. */
  readonly stride: number;
  /** Offset of the list head within a bucket. */
  readonly head: number;
  /** Offset of the list node within an entry. */
  readonly link: number;
  /**
   * Of a `hlist_nulls` table: what ends bucket 0, the others counting up (include/linux/list_nulls.h).
   * A chain that ends otherwise was left in its middle, because an entry moved.
   */
  readonly nulls?: number;
  /** Bit 0 of a head is a lock, as in a rhashtable (include/linux/rhashtable.h). */
  readonly lockBit?: boolean;
  /** Whether an entry belongs to that bucket, where that can be told. */
  readonly belongs?: (entry: GuestVirtual, bucket: number) => boolean;
};

/** `alloc_large_system_hash` makes no socket table of more than 512 Ki buckets (net/ipv4/tcp.c). */
const MAX_BUCKETS = 2 ** 20;
const TRIES = 4;
/** Damaged buckets of one table that are told by their number. */
const MAX_TOLD = 4;
const CHUNK = 0x1_0000;

/**
 * Every entry of a hash table. The heads are copied in bulk, 64 KiB at a time, since most buckets
 * are empty; a chain that changes while it is read is read again.
 */
export function* hashEntries(
  kernel: Kernel,
  table: HashTable,
  budget: Budget,
  problem: (reason: string) => void,
): Generator<GuestVirtual, void, undefined> {
  const { stride, address } = table;
  if (!(table.buckets > 0 && table.buckets <= MAX_BUCKETS)) {
    problem(`${table.name} cannot have ${table.buckets} buckets`);
    return;
  }
  const perChunk = Math.max(1, Math.floor(CHUNK / stride));
  const raw = new Uint8Array(perChunk * stride);
  const view = new DataView(raw.buffer);
  let faults = 0;
  const fault = (reason: string): void => {
    if (++faults <= MAX_TOLD) problem(reason);
  };
  for (let first = 0; first < table.buckets; first += perChunk) {
    const count = Math.min(perChunk, table.buckets - first);
    const copied = kernel.space.copy(address + first * stride, raw.subarray(0, count * stride));
    if (copied < count * stride) fault(`${table.name} is not all in memory`);
    for (let index = 0; (index + 1) * stride <= copied; index++) {
      const at = index * stride + table.head;
      const low = view.getUint32(at, true);
      const high = view.getUint32(at + 4, true);
      // NULL, or the odd end marker of a nulls list.
      if ((low | high) === 0 || ((low & 1) === 1 && table.lockBit !== true)) continue;
      yield* chain(kernel, table, first + index, budget, fault);
      if (budget.exhausted) return problem(`${table.name} is too long to be read to its end`);
    }
  }
  if (faults > MAX_TOLD) problem(`${table.name} has ${faults - MAX_TOLD} more such places`);
  return undefined;
}

function chain(
  kernel: Kernel,
  table: HashTable,
  bucket: number,
  budget: Budget,
  problem: (reason: string) => void,
): GuestVirtual[] {
  let read = readChain(kernel, table, bucket, budget);
  for (let tries = 1; read.fault !== undefined && tries < TRIES; tries++) {
    // Copied pages would give the same again.
    kernel.refresh();
    read = readChain(kernel, table, bucket, budget);
  }
  if (read.fault !== undefined) problem(`bucket ${bucket} of ${table.name} ${read.fault}`);
  return read.entries;
}

type Chain = { readonly entries: GuestVirtual[]; readonly fault: string | undefined };

function readChain(kernel: Kernel, table: HashTable, bucket: number, budget: Budget): Chain {
  const { space } = kernel;
  const entries: GuestVirtual[] = [];
  const watch = new CircleWatch();
  let node = space.pointer(table.address + bucket * table.stride + table.head);
  if (table.lockBit === true && node % 2 !== 0) node--;
  while (node % 2 === 0 && node !== 0) {
    if (!budget.step() || watch.isBack(node)) {
      return { entries: [...new Set(entries)], fault: "does not end" };
    }
    const entry = node - table.link;
    if (table.belongs?.(entry, bucket) === false) {
      return { entries, fault: "holds what belongs into another" };
    }
    const next = space.pointer(node);
    if (next !== next) return { entries, fault: "leads to unreadable memory" };
    entries.push(entry);
    node = next;
  }
  if (node !== node) return { entries, fault: "leads to unreadable memory" };
  const moved = table.nulls !== undefined && node !== (table.nulls + bucket) * 2 + 1;
  return { entries, fault: moved ? "changes faster than it can be read" : undefined };
}

/** Size of what a pointer member points to, 0 where that has none: the stride of such an array. */
export function pointeeSize(kernel: Kernel, struct: string, path: string): number {
  const { source } = kernel.types;
  const pointer = source.strip(kernel.types.require(struct, path).typeId);
  const size = source.size(source.referenced(pointer));
  return size > 0 ? size : 0;
}
