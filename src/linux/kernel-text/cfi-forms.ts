import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import { isPadding } from "./nops.ts";

/**
 * What a kernel with CONFIG_FINEIBT makes of the code that clang compiled for kCFI, at boot and when
 * a module is loaded (arch/x86/kernel/alternative.c, __apply_fineibt, since 6.2): hashes are mixed
 * with a seed, preambles and calls are written anew, or the calls jump over the test.
 */

const CALL = 0xe8;
const CS_PREFIX = 0x2e;
const JMP8 = 0xeb;
/** `movl $hash, %eax` before a function, or another register for its number of arguments (6.15). */
const MOV = 0xb8;
export const PREAMBLE_SIZE = 16;
/** `movl $-hash, %r10d; addl -15(%r11), %r10d; je 1f; ud2` before a call. */
export const CALLER_SIZE = 14;
const MOV_R10D: readonly number[] = [0x41, 0xba];
const REST_OF_TEST: readonly number[] = [0x45, 0x03, 0x53, 0xf1, 0x74, 0x02, 0x0f, 0x0b];
const SEALED = 0;

/** Instructions that no hash may look like: ENDBR64, ENDBR32, and what takes their place. */
const ENDBRS: ReadonlySet<number> = new Set([0xfa1e0ff3, 0xfb1e0ff3, 0x001f0f66, 0xd6401f0f]);
/** What a template has where the hash goes (0x12345678). */
const HASH_MARK = Buffer.from("78563412", "hex");

/** A sequence that the kernel keeps in its constant data to copy it over a site. */
type Template = { readonly bytes: Buffer; readonly hashAt: number };

export class CfiForms {
  readonly #kernel: Kernel;
  readonly #namesAt: (target: GuestVirtual) => string;
  readonly #templates = new Map<string, Template | undefined>();
  #seed: number | undefined;

  constructor(kernel: Kernel, namesAt: (target: GuestVirtual) => string) {
    this.#kernel = kernel;
    this.#namesAt = namesAt;
  }

  /** Sixteen bytes before a function, `__cfi_NAME`. */
  isPreamble(code: Uint8Array, at: number, address: GuestVirtual, original: Uint8Array): boolean {
    const whole = Buffer.from(code.subarray(at, at + PREAMBLE_SIZE));
    const hash = this.#mixed(word(original, 1));
    const isHash = (place: number): boolean => [hash, SEALED].includes(word(whole, place));
    if (whole[0] === original[0] && (whole[0] & 0xf8) === MOV) {
      return isHash(1) && whole.subarray(5).equals(original.subarray(5, PREAMBLE_SIZE));
    }
    const template = this.#template("fineibt_preamble");
    if (template === undefined) return false;
    const { bytes, hashAt } = template;
    const tail = hashAt + 4;
    // ENDBR64 goes where nothing leads to the function (poison_cfi).
    const start = isPadding(whole, 0, 4) || whole.subarray(0, 4).equals(bytes.subarray(0, 4));
    if (!start || !isHash(hashAt)) return false;
    if (!whole.subarray(4, hashAt).equals(bytes.subarray(4, hashAt))) return false;
    return (
      whole.subarray(tail).equals(bytes.subarray(tail)) ||
      this.#hidesArguments(whole, tail, address)
    );
  }

  /** Fourteen bytes before a call through %r11. */
  isCaller(code: Uint8Array, at: number, original: Uint8Array): boolean {
    const seen = Buffer.from(code.subarray(at, at + CALLER_SIZE));
    const hash = this.#mixed(-word(original, 2) >>> 0);
    const test = Buffer.from(original.subarray(0, CALLER_SIZE));
    test.writeUInt32LE(-hash >>> 0, 2);
    if (seen.equals(test)) return true;
    // Without CFI: a jump over the test.
    test.set([JMP8, CALLER_SIZE - 2]);
    if (seen.equals(test)) return true;
    return ["fineibt_caller", "fineibt_paranoid"].some((name) => {
      const template = this.#template(name);
      if (template === undefined) return false;
      const bytes = Buffer.from(template.bytes.subarray(0, CALLER_SIZE));
      bytes.writeUInt32LE(hash, template.hashAt);
      return seen.equals(bytes);
    });
  }

  /** FineIBT+BHI (6.15): arguments are cleared where the hash is wrong, inline or by a call. */
  #hidesArguments(code: Buffer, from: number, address: GuestVirtual): boolean {
    const inline = this.#template("fineibt_bhi1")?.bytes;
    if (
      inline !== undefined &&
      code.subarray(from).equals(inline.subarray(0, code.length - from))
    ) {
      return true;
    }
    let call = from;
    while (code[call] === CS_PREFIX) call++;
    if (code[call] !== CALL || call + 5 !== code.length) return false;
    return /^__bhi_args/m.test(this.#namesAt(address + call + 5 + code.readInt32LE(call + 1)));
  }

  #template(name: string): Template | undefined {
    if (this.#templates.has(name)) return this.#templates.get(name);
    const start = this.#kernel.symbol(`${name}_start`);
    const size = this.#kernel.symbol(`${name}_end`) - start;
    const fits = size > 0 && size <= 32;
    const bytes = fits ? this.#kernel.space.bytes(start, size) : undefined;
    const template = bytes && templateOf(Buffer.from(bytes));
    this.#templates.set(name, template);
    return template;
  }

  /** `cfi_rehash`: by the seed of this boot; a kernel without one keeps the compiler's. */
  #mixed(hash: number): number {
    this.#seed ??= this.#kernel.space.u32(this.#kernel.symbol("cfi_seed"));
    let mixed = (hash ^ this.#seed) >>> 0;
    for (let i = 0; i < 32 && (ENDBRS.has(mixed) || ENDBRS.has(-mixed >>> 0)); i++) {
      mixed = (mixed & 1) === 1 ? ((mixed >>> 1) ^ 0x80200003) >>> 0 : mixed >>> 1;
    }
    return mixed;
  }
}

/** Whether clang's test of kCFI stands there, in the file: what boot may write over. */
export function isKcfiTest(code: Uint8Array): boolean {
  return MOV_R10D.every((byte, i) => code[i] === byte);
}

/** The same where CFI is off: a jump over it, behind which half an instruction is left. */
export function isSkippedTest(code: Uint8Array, at: number): boolean {
  if (code[at] !== JMP8 || code[at + 1] !== CALLER_SIZE - 2) return false;
  return REST_OF_TEST.every((byte, i) => code[at + 6 + i] === byte);
}

/** A hash that lay further behind would not fit into what is compared. */
function templateOf(bytes: Buffer): Template {
  return { bytes, hashAt: Math.max(bytes.subarray(0, CALLER_SIZE).indexOf(HASH_MARK), 0) };
}

function word(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true);
}
