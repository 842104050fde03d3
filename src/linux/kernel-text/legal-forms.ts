import type { GuestVirtual } from "../../base/address.ts";
import { branchTarget, decodeInstruction } from "../../arch/x86/instruction.ts";
import type { Kernel } from "../kernel.ts";
import { CfiForms } from "./cfi-forms.ts";
import { isPadding } from "./nops.ts";
import type { Probes } from "./planted-probes.ts";
import type { PatchSite } from "./site-table.ts";

const CALL = 0xe8;
const JMP = 0xe9;
const JMP8 = 0xeb;
const RET = 0xc3;
const LOCK = 0xf0;
const DS_PREFIX = 0x3e;
const INT3 = 0xcc;
/** Bytes of a call or jump with a distance of 32 bits. */
const NEAR_LENGTH = 5;

/** Sites that change while the kernel runs: smp_text_poke (alternative.c) puts a breakpoint first. */
const CHANGING: ReadonlySet<PatchSite["kind"]> = new Set([
  "mcount",
  "ftrace-call",
  "static-call",
  "jump-label",
]);

/** Where patched calls may lead that is no function of the image: asked of whoever knows owners. */
export type LegalTargets = {
  /** A live ftrace trampoline, or `ftrace_caller` and its kin. */
  isTrampoline(target: GuestVirtual): boolean;
  /** What ftrace may call: one of its own functions, or the handler of a live user. */
  isTracer(target: GuestVirtual): boolean;
  /** The first byte of a function of the kernel or a module. */
  isFunction(target: GuestVirtual): boolean;
  /** A page of thunks that the kernel made against ITS. */
  isThunkPage(target: GuestVirtual): boolean;
  /** Names of the symbols that begin at `target`, one a line; empty where there is none. */
  namesAt(target: GuestVirtual): string;
  /** Address of a symbol of the kernel or a module, NaN where there is none. */
  symbol(name: string): GuestVirtual;
  /** Changes whenever generated code, modules or tracers come and go. */
  readonly generation: string;
  /** Breakpoints and jumps that the kernel's kprobes put into code. */
  readonly probes: Probes;
  /** At this moment the kernel is changing its own code, which takes it many steps. */
  isBeingPatched(): boolean;
};

/** `static_call_return0`, whose calls become one instruction that zeroes the result. */
const RETURN_ZERO = ["66664831c0", "2e2e2e31c0", "31c00f1f00"];

/** Functions whose calls become one instruction (arch/x86/kernel/static_call.c, 7.0 and later). */
const INLINED_CALLS: readonly { readonly form: string; readonly name: RegExp }[] = [
  { form: "67480fb93a", name: /^__WARN_trap$/m },
  { form: "3e3ec60700", name: /queued_spin_unlock$/m },
];

/** Instructions that stand inline for paravirtual operations on bare metal (paravirt_patch.c). */
const INLINE_OPERATIONS = new Set([
  "fa",
  "fb",
  "9c58",
  "579d",
  "509d",
  "0f20d0",
  "0f20d8",
  "0f22df",
  "0f22d7",
  "0f09",
  "4889f8",
  "89f8",
  "c60700",
  "31c0",
  "0f0107",
  "0f01f8",
  "480f07",
  "f390",
  "c3",
]);

/** Decides whether what stands at a patch site is one of the forms that the kernel itself writes. */
export class LegalForms {
  readonly #kernel: Kernel;
  readonly #targets: LegalTargets;
  readonly #cfi: CfiForms;
  /** A form was found legal because of where it leads outside the image: it holds while that lives. */
  leansOnLive = false;
  /** A form was found legal as a step on the way to another. */
  unfinished = false;

  constructor(kernel: Kernel, targets: LegalTargets) {
    this.#kernel = kernel;
    this.#targets = targets;
    this.#cfi = new CfiForms(kernel, (target) => targets.namesAt(target));
  }

  /** See LegalTargets. */
  isFunction(target: GuestVirtual): boolean {
    return this.#leaningOn(target).isFunction(target);
  }

  #leaningOn(target: GuestVirtual): LegalTargets {
    const { virtual, size } = this.#kernel.image;
    if (!(target >= virtual && target < virtual + size)) this.leansOnLive = true;
    return this.#targets;
  }

  /** `code[at]` is what the guest has at `address`; `original` what the file has at the site. */
  allows(
    site: PatchSite,
    code: Uint8Array,
    at: number,
    address: GuestVirtual,
    original: Uint8Array,
  ): boolean {
    const end = at + original.length;
    if (site.kind === "cfi-preamble") return this.#cfi.isPreamble(code, at, address, original);
    if (site.kind === "cfi-caller") return this.#cfi.isCaller(code, at, original);
    if (this.#isFinished(site, code, at, end, address)) return true;
    return CHANGING.has(site.kind) && this.#isUnderWay(site, code, at, address);
  }

  #isFinished(
    site: PatchSite,
    code: Uint8Array,
    at: number,
    end: number,
    address: GuestVirtual,
  ): boolean {
    switch (site.kind) {
      case "return":
        return this.#isReturn(code, at, end, address);
      case "retpoline":
        return this.#isIndirectBranch(code, at, end, address);
      case "mcount":
        return isPadding(code, at, end) || this.#callsTrampoline(code, at, address);
      case "ftrace-call":
        return this.#callsTracer(code, at, address);
      case "static-call":
        return this.#isStaticCall(site, code, at, end, address);
      case "jump-label":
        return isPadding(code, at, end) || jumpTarget(code, at, address) === site.detail;
      case "lock":
        return code[at] === LOCK || code[at] === DS_PREFIX;
      case "endbr":
        return decodesAsNop(code, at, end);
      case "paravirt":
        return this.#isParavirt(code, at, end, address);
      case "cfi-hash":
        return code.subarray(at, end).every((byte) => byte === 0);
      default:
        return this.#isConstant(site, code, at);
    }
  }

  /**
   * A breakpoint over the first byte of the old or the new form, or a call that is to lead elsewhere
   * in a moment; only while the kernel holds the lock for it. What stands behind the breakpoint is
   * written byte by byte, and nobody runs it.
   */
  #isUnderWay(site: PatchSite, code: Uint8Array, at: number, address: GuestVirtual): boolean {
    if (code[at] !== INT3 && site.kind !== "static-call") return false;
    if (!this.#targets.isBeingPatched()) return false;
    this.unfinished = true;
    if (code[at] === INT3) return true;
    const branch = decodeInstruction(code, at);
    return branch !== undefined && this.isFunction(branchTarget(code, at, address, branch));
  }

  /** `ret` with breakpoints behind, or a jump to one of the return thunks. */
  #isReturn(code: Uint8Array, at: number, end: number, address: GuestVirtual): boolean {
    // Compiled without CONFIG_MITIGATION_RETHUNK, a static call to nothing is `ret; int3; nop …`.
    if (code[at] === RET) return isPadding(code, code[at + 1] === INT3 ? at + 2 : at + 1, end);
    return /return_thunk/.test(this.#targets.namesAt(jumpTarget(code, at, address)));
  }

  /** The register branch itself, perhaps behind lfence and a condition, or another thunk. */
  #isIndirectBranch(code: Uint8Array, at: number, end: number, address: GuestVirtual): boolean {
    let place = at;
    // A conditional jump to a thunk becomes the inverse condition over the branch.
    if ((code[place] & 0xf0) === 0x70) place += 2;
    if (code[place] === 0x0f && code[place + 1] === 0xae && code[place + 2] === 0xe8) place += 3;
    const branch = decodeInstruction(code, place);
    if (branch === undefined || place + branch.length > end) return false;
    const extension = (branch.modrm >>> 3) & 7;
    if (branch.opcode === 0xff && [2, 4].includes(extension) && branch.modrm >= 0xc0) {
      const behind = place + branch.length;
      // Behind a jump a breakpoint stops what runs ahead; NOPs fill the rest (patch_retpoline, 5.17).
      const stopped = extension === 4 && code[behind] === INT3 && behind < end;
      return isPadding(code, stopped ? behind + 1 : behind, end);
    }
    const target = branchTarget(code, place, address + (place - at), branch);
    const thunk =
      /^__x86_indirect_(its_|call_|jump_|paranoid_)?thunk/m.test(this.#targets.namesAt(target)) ||
      this.#leaningOn(target).isThunkPage(target);
    return thunk && isPadding(code, place + branch.length, end);
  }

  #callsTrampoline(code: Uint8Array, at: number, address: GuestVirtual): boolean {
    if (!isBranch(code[at])) return false;
    const target = nearTarget(code, at, address);
    return this.#leaningOn(target).isTrampoline(target);
  }

  #callsTracer(code: Uint8Array, at: number, address: GuestVirtual): boolean {
    if (!isBranch(code[at])) return false;
    const target = nearTarget(code, at, address);
    return this.#leaningOn(target).isTracer(target);
  }

  /** The key's own function and no other; or what stands for doing nothing. */
  #isStaticCall(
    { detail }: PatchSite,
    code: Uint8Array,
    at: number,
    end: number,
    address: GuestVirtual,
  ): boolean {
    if (isPadding(code, at, end) || this.#isReturn(code, at, end, address)) return true;
    const text = Buffer.from(code.buffer, code.byteOffset + at, end - at).toString("hex");
    if (RETURN_ZERO.some((form) => text.startsWith(form))) return true;
    const func = this.#kernel.readerOf("static_call_key", "func")?.(this.#keyOf(detail));
    const inlined = INLINED_CALLS.find(({ form }) => form === text);
    if (inlined !== undefined) return inlined.name.test(this.#targets.namesAt(func ?? Number.NaN));
    const conditional = code[at] === 0x0f && (code[at + 1] & 0xf0) === 0x80;
    const place = conditional ? at + 1 : at;
    if (!conditional && code[at] !== CALL && code[at] !== JMP) return false;
    const target = nearTarget(code, place, address + (place - at));
    // A conditional jump to nothing becomes one to a return (__static_call_transform, since 6.3).
    if (conditional && func === 0 && isReturnName(this.#targets.namesAt(target))) return true;
    // What no key tells may be any function: the check of the keys says that they are not known.
    if (func === undefined && this.isFunction(target)) return true;
    return target === func || this.#targets.namesAt(target).startsWith("__SCT__");
  }

  /** The key, or that of the trampoline which stands for it. */
  #keyOf(detail: GuestVirtual): GuestVirtual {
    const [name = ""] = this.#targets.namesAt(detail).split("\n");
    if (!name.startsWith("__SCT__")) return detail;
    return this.#targets.symbol(name.replace("__SCT__", "__SCK__"));
  }

  /** A direct call, a jump, or the native instruction; NOPs fill the rest. */
  #isParavirt(code: Uint8Array, at: number, end: number, address: GuestVirtual): boolean {
    if (isPadding(code, at, end)) return true;
    if (code[at] === CALL || code[at] === JMP) {
      const target = nearTarget(code, at, address);
      return this.isFunction(target) && isPadding(code, at + 5, end);
    }
    for (let length = 1; length <= 4 && at + length <= end; length++) {
      const text = Buffer.from(code.buffer, code.byteOffset + at, length).toString("hex");
      if (INLINE_OPERATIONS.has(text) && isPadding(code, at + length, end)) return true;
    }
    return false;
  }

  /** Immediates that hold the value of a variable; they are data, and nothing jumps to them. */
  #isConstant({ kind, detail }: PatchSite, code: Uint8Array, at: number): boolean {
    const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
    // A macro's name (`__futex_queues`) is in no symbol table: any value will do.
    if (detail !== detail) return true;
    if (kind === "runtime-ptr") {
      return view.getBigUint64(at, true) === this.#kernel.space.u64(detail);
    }
    const value = this.#kernel.space.u32(detail);
    return kind === "runtime-mask"
      ? view.getUint32(at, true) === value
      : code[at] === (value & 0xff);
  }
}

function isReturnName(names: string): boolean {
  return /^__static_call_return$|^__x86_return_thunk$/m.test(names);
}

function isBranch(opcode: number): boolean {
  return opcode === CALL || opcode === JMP;
}

/** Target of a five-byte call or jump; NaN where so many are not there. */
function nearTarget(code: Uint8Array, at: number, address: GuestVirtual): GuestVirtual {
  if (at + NEAR_LENGTH > code.length) return Number.NaN;
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  return address + NEAR_LENGTH + view.getInt32(at + 1, true);
}

/** Target of a jump of two or five bytes, NaN for anything else. */
function jumpTarget(code: Uint8Array, at: number, address: GuestVirtual): GuestVirtual {
  if (code[at] === JMP) return nearTarget(code, at, address);
  if (code[at] !== JMP8) return Number.NaN;
  return address + 2 + ((code[at + 1] << 24) >> 24);
}

/** `endbr64` that nothing jumps to becomes a NOP of four bytes (gen_endbr_poison). */
function decodesAsNop(code: Uint8Array, at: number, end: number): boolean {
  const instruction = decodeInstruction(code, at);
  return (
    instruction?.length === end - at && instruction.map === "0f" && instruction.opcode === 0x1f
  );
}
