import type { GuestVirtual } from "../../base/address.ts";
import { branchTarget, decodeInstruction } from "../../arch/x86/instruction.ts";
import type { Instruction } from "../../arch/x86/instruction.ts";
import type { Alternative } from "./alternatives.ts";
import type { CodeFile } from "./code-file.ts";
import type { LegalForms } from "./legal-forms.ts";
import { isPadding, nopsEnd } from "./nops.ts";
import type { PatchSite } from "./site-table.ts";

/** Alternatives hold a few instructions; a longer walk is a damaged table. */
const MAX_INSTRUCTIONS = 64;
const INT3 = 0xcc;

type SitesByAddress = { get(address: GuestVirtual): PatchSite | undefined };

/** The guest's code around a place: `code[address - base]` is what stands at `address`. */
export type SeenCode = { readonly code: Uint8Array; readonly base: GuestVirtual };

/** Compares the guest's text with the file's, instruction by instruction, allowing legal patches. */
export class TextMatcher {
  readonly #file: CodeFile;
  readonly #sites: SitesByAddress;
  readonly #forms: LegalForms;

  constructor(file: CodeFile, sites: SitesByAddress, forms: LegalForms) {
    this.#file = file;
    this.#sites = sites;
    this.#forms = forms;
  }

  /** Whether the text at an alternative is the original or one of its replacements. */
  matchesAlternative(seen: SeenCode, all: readonly Alternative[]): boolean {
    const length = Math.max(...all.map((each) => each.length));
    const { address } = all[0];
    if (this.matches(seen, address, address, length, length)) return true;
    if (this.#emptied(seen, address, length, all)) return true;
    return all.some((each) =>
      this.matches(seen, address, each.replacement, each.replacementLength, length),
    );
  }

  /**
   * `ALT_FLAG_DIRECT_CALL` (since 6.8): an indirect call whose function does nothing is emptied.
   */
  #emptied(
    seen: SeenCode,
    address: GuestVirtual,
    length: number,
    all: readonly Alternative[],
  ): boolean {
    const original = this.#file.bytes(address, 2);
    const indirect = original?.[0] === 0xff && original[1] === 0x15;
    const called = all.some(({ replacement }) => this.#file.bytes(replacement, 1)?.[0] === 0xe8);
    const at = address - seen.base;
    return indirect && called && isPadding(seen.code, at, at + length);
  }

  /**
   * Whether `length` bytes at `address` are the file's `templateLength` bytes at `template`, moved
   * here, with padding behind. Each instruction may have been patched as its site allows.
   */
  matches(
    seen: SeenCode,
    address: GuestVirtual,
    template: GuestVirtual,
    templateLength: number,
    length: number,
  ): boolean {
    const original = this.#file.bytes(template, templateLength);
    const start = address - seen.base;
    const end = start + length;
    if (original === undefined || start < 0 || end > seen.code.length) return false;
    let at = 0;
    for (let count = 0; at < templateLength && count < MAX_INSTRUCTIONS; count++) {
      // Behind a jump (`lfence; jmp *%rax; int3`); the NOPs of the rest come after it.
      if (original[at] === INT3 && seen.code[start + at] === INT3) {
        at++;
        continue;
      }
      if (isPadding(original, at, templateLength)) break;
      const nops = nopsEnd(original, at, templateLength);
      if (nops > at) {
        // Boot writes each run of NOPs anew, as few and as long as can be.
        if (!isPadding(seen.code, start + at, start + nops)) return false;
        at = nops;
        continue;
      }
      const instruction = decodeInstruction(original, at);
      if (instruction === undefined) return false;
      const size = Math.min(instruction.length, templateLength - at);
      const inside = address !== template && branchesInside(original, at, instruction);
      if (inside && sameBytes(seen.code, start + at, original, at, size)) {
        at += size;
        continue;
      }
      if (!this.#same(seen.code, start + at, address + at, original, at, template + at, size)) {
        return this.#shortened(
          seen.code,
          start + at,
          end,
          address + at,
          original,
          at,
          template + at,
          instruction,
        );
      }
      at += size;
    }
    return isPadding(seen.code, start + Math.min(at, length), end);
  }

  /** One instruction: the same bytes, the same targets from another place, or a legal patch. */
  #same(
    code: Uint8Array,
    at: number,
    address: GuestVirtual,
    original: Uint8Array,
    from: number,
    template: GuestVirtual,
    size: number,
  ): boolean {
    const equal = sameBytes(code, at, original, from, size);
    const moved = address !== template;
    if (equal && !moved) return true;
    for (let i = 0; i < size; i++) {
      const site = this.#sites.get(template + i);
      if (site === undefined) continue;
      const whole = original.subarray(from + i, from + Math.max(size, i + site.length));
      const bytes = site.kind === "retpoline" ? original.subarray(from, from + size) : whole;
      if (this.#forms.allows(site, code, at + i, address + i, bytes)) return true;
    }
    if (!moved) return false;
    return equal
      ? !isRelative(original, from)
      : this.#movedSame(code, at, address, original, from, template);
  }

  /** The same instruction with its branch distance or RIP-relative displacement adjusted. */
  #movedSame(
    code: Uint8Array,
    at: number,
    address: GuestVirtual,
    original: Uint8Array,
    from: number,
    template: GuestVirtual,
  ): boolean {
    const here = decodeInstruction(code, at);
    const there = decodeInstruction(original, from);
    if (here === undefined || there === undefined || here.length !== there.length) return false;
    const place = there.relativeOffset || there.ripOffset;
    if (place === 0) return false;
    const width = there.relativeSize || 4;
    for (let i = 0; i < there.length; i++) {
      const adjusted = i >= place && i < place + width;
      if (!adjusted && code[at + i] !== original[from + i]) return false;
    }
    const distance = (bytes: Uint8Array, offset: number): number => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return width === 1 ? view.getInt8(offset) : view.getInt32(offset, true);
    };
    const target = distance(code, at + place) + address;
    return (
      target === distance(original, from + place) + template ||
      this.#callsFunction(code, at, address, there)
    );
  }

  /** `ALT_FLAG_DIRECT_CALL` (since 6.8): a placeholder call becomes one of the real function. */
  #callsFunction(
    code: Uint8Array,
    at: number,
    address: GuestVirtual,
    instruction: Instruction,
  ): boolean {
    if (instruction.opcode !== 0xe8) return false;
    const target = branchTarget(code, at, address, instruction);
    return this.#forms.isFunction(target);
  }

  /** A jump whose target came near enough is written in two bytes (recompute_jump). */
  #shortened(
    code: Uint8Array,
    at: number,
    end: number,
    address: GuestVirtual,
    original: Uint8Array,
    from: number,
    template: GuestVirtual,
    instruction: Instruction,
  ): boolean {
    if (instruction.opcode !== 0xe9 || code[at] !== 0xeb) return false;
    const target = branchTarget(original, from, template, instruction);
    const distance = (code[at + 1] << 24) >> 24;
    return address + 2 + distance === target && isPadding(code, at + 2, end);
  }
}

function sameBytes(a: Uint8Array, atA: number, b: Uint8Array, atB: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

/** A branch within a replacement moves with it. */
function branchesInside(code: Uint8Array, at: number, instruction: Instruction): boolean {
  const target = branchTarget(code, at, at, instruction);
  return target >= 0 && target <= code.length;
}

function isRelative(code: Uint8Array, at: number): boolean {
  const instruction = decodeInstruction(code, at);
  return instruction !== undefined && (instruction.relativeSize > 0 || instruction.ripOffset > 0);
}
