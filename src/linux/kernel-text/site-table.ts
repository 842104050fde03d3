import type { GuestVirtual } from "../../base/address.ts";
import { lastAtOrBelow } from "./function-map.ts";

/** Why the kernel may change its own text at a place. */
export const SITE_KINDS = [
  "return",
  "retpoline",
  "mcount",
  "ftrace-call",
  "static-call",
  "jump-label",
  "lock",
  "endbr",
  "paravirt",
  "runtime-ptr",
  "runtime-shift",
  "runtime-mask",
  "cfi-preamble",
  "cfi-caller",
  "cfi-hash",
] as const;
export type SiteKind = (typeof SITE_KINDS)[number];

/** One such place. */
export type PatchSite = {
  readonly kind: SiteKind;
  readonly address: GuestVirtual;
  /** In bytes, 255 at most. */
  readonly length: number;
  /** Jump label: where it may jump. Static call: its key. Runtime constant: its variable. */
  readonly detail: GuestVirtual;
};

/** Some 180,000 in a distribution's kernel. */
const MAX_SITES = 2_000_000;
const FIRST_ROOM = 1 << 14;

/**
 * Sites by address, in columns: as objects they would take ten times the memory for as long as the
 * guest is watched.
 */
export class SiteTable {
  /** Ascending, each once. */
  readonly addresses: Float64Array;
  readonly #details: Float64Array;
  readonly #kinds: Uint8Array;
  readonly #lengths: Uint8Array;

  /** Of several sites at one address the last one counts; one at no address is left out. */
  constructor(sites: Iterable<PatchSite>) {
    const columns = new Columns();
    for (const site of sites) {
      if (columns.count === MAX_SITES) break;
      if (site.address === site.address) columns.add(site);
    }
    this.addresses = columns.sortedAddresses();
    this.#details = new Float64Array(this.addresses.length);
    this.#kinds = new Uint8Array(this.addresses.length);
    this.#lengths = new Uint8Array(this.addresses.length);
    for (let from = 0; from < columns.count; from++) {
      const index = lastAtOrBelow(this.addresses, columns.addresses[from]!);
      this.#details[index] = columns.details[from]!;
      this.#kinds[index] = columns.kinds[from]!;
      this.#lengths[index] = columns.lengths[from]!;
    }
  }

  /** The site that begins at an address. */
  get(address: GuestVirtual): PatchSite | undefined {
    const index = lastAtOrBelow(this.addresses, address);
    return this.addresses[index] === address ? this.at(index) : undefined;
  }

  /** The last site that begins at or before an address. */
  before(address: GuestVirtual): PatchSite | undefined {
    return this.at(lastAtOrBelow(this.addresses, address));
  }

  /** Those that begin within [from, to), ascending. */
  *within(from: GuestVirtual, to: GuestVirtual): Generator<PatchSite> {
    let index = lastAtOrBelow(this.addresses, from - 1) + 1;
    for (; this.addresses[index]! < to; index++) yield this.at(index)!;
  }

  *[Symbol.iterator](): Generator<PatchSite> {
    for (let index = 0; index < this.addresses.length; index++) yield this.at(index)!;
  }

  at(index: number): PatchSite | undefined {
    const kind = SITE_KINDS[this.#kinds[index] ?? SITE_KINDS.length];
    if (kind === undefined) return undefined;
    return {
      kind,
      address: this.addresses[index]!,
      length: this.#lengths[index]!,
      detail: this.#details[index]!,
    };
  }
}

/** Sites as they come. */
class Columns {
  count = 0;
  addresses = new Float64Array(FIRST_ROOM);
  details = new Float64Array(FIRST_ROOM);
  kinds = new Uint8Array(FIRST_ROOM);
  lengths = new Uint8Array(FIRST_ROOM);

  add({ kind, address, length, detail }: PatchSite): void {
    if (this.count === this.addresses.length) this.#grow();
    this.addresses[this.count] = address;
    this.details[this.count] = detail;
    this.kinds[this.count] = SITE_KINDS.indexOf(kind);
    this.lengths[this.count] = length;
    this.count++;
  }

  /** Each once. */
  sortedAddresses(): Float64Array {
    const sorted = this.addresses.subarray(0, this.count).toSorted();
    let kept = 0;
    for (const address of sorted) {
      if (kept === 0 || sorted[kept - 1] !== address) sorted[kept++] = address;
    }
    return sorted.slice(0, kept);
  }

  #grow(): void {
    const room = this.addresses.length * 2;
    this.addresses = wider(this.addresses, new Float64Array(room));
    this.details = wider(this.details, new Float64Array(room));
    this.kinds = wider(this.kinds, new Uint8Array(room));
    this.lengths = wider(this.lengths, new Uint8Array(room));
  }
}

function wider<T extends Float64Array | Uint8Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
