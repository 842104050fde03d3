import { FAULT } from "../../base/address.ts";
import type { GuestVirtual } from "../../base/address.ts";

const TWO_32 = 2 ** 32;
const TWO_48 = 2 ** 48;
/** Region of the top 256 TiB, where a folded address is simply the signed one. */
const TOP_REGION = -1;
/** Folded regions −2 … −32 stay within a double's 53 bits. */
const SLOTS = 31;
const NO_SLOT = -1;

/**
 * Whether the kernel's tables map anything in a region (page-table index, bits 48–56), within the
 * 512 GiB that `below` (bits 39–47) names.
 */
export type IsPopulated = (index: number, below: number) => boolean;

/**
 * Turns 64-bit addresses into exact doubles and back (see base/address.ts).
 *
 * With 4-level paging every canonical address fits. With 5-level paging a kernel address names one
 * of 256 regions of 256 TiB (Documentation/arch/x86/x86_64/mm.rst), of which a kernel populates few:
 * each is given one of 31 slots: those in use when the kernel was understood, and then each that a
 * running kernel populates (per-CPU areas and modules' data may come to lie in a new one), when the
 * first address of it is met. What is mapped nowhere, or finds no slot, folds to a fault.
 */
export class AddressFolding {
  /** Page-table index (bits 48–56) to slot. */
  readonly #slotOf = new Int8Array(512).fill(NO_SLOT);
  readonly #indexOf = new Int16Array(SLOTS);
  #used = 0;
  #isPopulated: IsPopulated = () => false;

  /** From now on the kernel's own tables say which further regions are in use. */
  follow(isPopulated: IsPopulated): void {
    this.#isPopulated = isPopulated;
  }

  /** Gives a region its slot; false where all slots are taken. `index` is bits 48–56, 256 … 510. */
  admit(index: number): boolean {
    if (this.#slotOf[index]! !== NO_SLOT) return true;
    if (this.#used === SLOTS) return false;
    this.#slotOf[index] = this.#used;
    this.#indexOf[this.#used++] = index;
    return true;
  }

  /** Folds the halves of a 64-bit address; `low` and `high` as unsigned 32-bit numbers. */
  fold(low: number, high: number): GuestVirtual {
    const signed = high | 0;
    if (signed >= -65_536 && signed < 0x20_0000) return signed * TWO_32 + low;
    return this.#foldLow(low, signed);
  }

  /** Folds a 64-bit address given as a bigint (signed or unsigned). */
  foldBig(address: bigint): GuestVirtual {
    const bits = BigInt.asUintN(64, address);
    return this.fold(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
  }

  /** The unsigned 64-bit address. A fault unfolds to 0. */
  unfold(address: GuestVirtual): bigint {
    if (address !== address) return 0n;
    const region = Math.floor(address / TWO_48);
    if (region >= TOP_REGION) return BigInt.asUintN(64, BigInt(address));
    const upper = 0xfe00 + this.#indexOf[-2 - region]!;
    return (BigInt(upper) << 48n) + BigInt(address - region * TWO_48);
  }

  /** `"0xffff…"`, or `"fault"`. */
  format(address: GuestVirtual): string {
    return address !== address ? "fault" : `0x${this.unfold(address).toString(16)}`;
  }

  /** Index into a 5-level root table for an address of that region (`floor(address / 2^48)`). */
  rootIndex(region: number): number {
    if (region >= 0) return region;
    return region === TOP_REGION ? 511 : this.#indexOf[-2 - region]!;
  }

  #foldLow(low: number, high: number): GuestVirtual {
    // Sign-extended from bit 56, or not canonical.
    if (high < -0x100_0000 || high >= 0x100_0000) return FAULT;
    if (high >= 0) return farUserAddress(low, high);
    const index = (high >>> 16) & 0x1ff;
    if (this.#slotOf[index] === NO_SLOT && !this.#admitLate(index, (high >>> 7) & 0x1ff)) {
      return FAULT;
    }
    return (-2 - this.#slotOf[index]!) * TWO_48 + (high & 0xffff) * TWO_32 + low;
  }

  #admitLate(index: number, below: number): boolean {
    return this.#used < SLOTS && this.#isPopulated(index, below) && this.admit(index);
  }
}

/**
 * Programs that ask for it, and those in the midst of an exec, have memory up to 2^56 with 5-level
 * paging. Beyond 2^53 a double holds every eighth address at least, and so all pages.
 */
function farUserAddress(low: number, high: number): GuestVirtual {
  const upper = high * TWO_32;
  return upper + low - upper === low ? upper + low : FAULT;
}
