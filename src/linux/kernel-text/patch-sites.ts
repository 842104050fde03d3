import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import { CALLER_SIZE, isKcfiTest, PREAMBLE_SIZE } from "./cfi-forms.ts";
import type { CodeFile, Section } from "./code-file.ts";
import type { PatchSite, SiteKind } from "./site-table.ts";

/** Some 180,000 in a distribution's kernel. */
const MAX_ENTRIES = 2_000_000;
const MIN_BRANCH = 5;
const SHORT_LABEL = 2;
const JMP8 = 0xeb;
const INT3 = 0xcc;
/** `xchg %ax, %ax`. */
const PREFIX = 0x66;
const NOP = 0x90;

/** Of the hash in a preamble: of kCFI, and of FineIBT until 6.16. */
const HASHES_AT = [1, 7];

/** Every site of a file's tables; where several are at one address, the one that counts comes last. */
export function* patchSites(kernel: Kernel, file: CodeFile): Generator<PatchSite> {
  yield* relativeSites(file, ".smp_locks", "lock", 1);
  yield* cfiSites(file);
  yield* mcountSites(file);
  yield* ftraceCalls(kernel);
  yield* paravirtSites(kernel, file);
  yield* runtimeConstants(kernel, file);
  yield* jumpLabels(file);
  yield* relativeSites(file, ".return_sites", "return", MIN_BRANCH);
  yield* relativeSites(file, ".retpoline_sites", "retpoline", MIN_BRANCH);
  yield* staticCalls(file);
  yield* staticCallTrampolines(file);
}

/** Tables of 32-bit distances, each from the entry itself. */
function* relativeSites(
  file: CodeFile,
  name: string,
  kind: SiteKind,
  length: number,
): Generator<PatchSite> {
  const section = file.sections.get(name);
  for (const entry of entries(section, 4)) {
    yield { kind, address: entry + file.i32(entry), length, detail: Number.NaN };
  }
}

/**
 * ENDBR64 of functions that nothing leads to, and what clang put before functions and indirect calls
 * for kCFI (objtool's tables `.ibt_endbr_seal`, `.cfi_sites` and `.retpoline_sites`).
 */
function* cfiSites(file: CodeFile): Generator<PatchSite> {
  const detail = Number.NaN;
  const preambles = new Set<GuestVirtual>();
  for (const site of relativeSites(file, ".cfi_sites", "cfi-preamble", PREAMBLE_SIZE)) {
    yield site;
    yield { kind: "endbr", address: site.address + PREAMBLE_SIZE, length: 4, detail };
    preambles.add(site.address);
  }
  for (const site of relativeSites(file, ".ibt_endbr_seal", "endbr", 4)) {
    yield site;
    const before = site.address - PREAMBLE_SIZE;
    // Until 6.16 a hash was cleared whether there was one or not (poison_cfi).
    if (preambles.size > 0 && !preambles.has(before)) {
      for (const at of HASHES_AT) {
        yield { kind: "cfi-hash", address: before + at, length: 4, detail };
      }
    }
  }
  if (preambles.size === 0) return;
  for (const { address } of relativeSites(file, ".retpoline_sites", "retpoline", 0)) {
    const start = address - CALLER_SIZE;
    const code = file.bytes(start, CALLER_SIZE);
    if (code === undefined || !isKcfiTest(code)) continue;
    yield { kind: "cfi-caller", address: start, length: CALLER_SIZE, detail };
  }
}

/** `__mcount_loc`: addresses of the calls to `__fentry__`, made NOPs at boot. */
function* mcountSites(file: CodeFile): Generator<PatchSite> {
  for (const entry of entries(file.tables.mcount, 8)) {
    yield { kind: "mcount", address: file.pointer(entry), length: 5, detail: Number.NaN };
  }
}

/** Calls within ftrace's own entry code, which lead to whoever traces (arch/x86/kernel/ftrace_64.S). */
function* ftraceCalls({ symbols }: Kernel): Generator<PatchSite> {
  for (const name of ["ftrace_call", "ftrace_regs_call", "ftrace_graph_call"]) {
    for (const address of symbols.all(name)) {
      yield { kind: "ftrace-call", address, length: MIN_BRANCH, detail: Number.NaN };
    }
  }
}

/** struct paravirt_patch_site, until 6.8 made them alternatives. */
function* paravirtSites(kernel: Kernel, file: CodeFile): Generator<PatchSite> {
  const { types } = kernel;
  if (!types.has("paravirt_patch_site", "len")) return;
  const instr = types.offset("paravirt_patch_site", "instr");
  const len = types.offset("paravirt_patch_site", "len");
  const size = types.size("paravirt_patch_site");
  const section = file.sections.get(".parainstructions");
  // The last entry goes without the padding that aligns the next.
  const padded = section && { start: section.start, size: section.size + size - 1 };
  for (const entry of entries(padded, size)) {
    const length = file.bytes(entry + len, 1)?.[0] ?? 0;
    const address = file.pointer(entry + instr);
    yield { kind: "paravirt", address, length, detail: Number.NaN };
  }
}

/**
 * struct static_call_site: the call, and its key with flags in the two low bits. A module that does
 * not get to see the key names its trampoline instead (EXPORT_STATIC_CALL_TRAMP).
 */
function* staticCalls(file: CodeFile): Generator<PatchSite> {
  for (const entry of entries(file.tables.staticCalls, 8)) {
    const address = entry + file.i32(entry);
    const key = entry + 4 + file.i32(entry + 4);
    const detail = key - (((key % 4) + 4) % 4);
    yield { kind: "static-call", address, length: MIN_BRANCH, detail };
  }
}

function* staticCallTrampolines(file: CodeFile): Generator<PatchSite> {
  for (const { address, key } of file.staticCallTrampolines) {
    yield { kind: "static-call", address, length: MIN_BRANCH, detail: key };
  }
}

/** struct jump_entry: code and target as distances from the fields themselves. */
function* jumpLabels(file: CodeFile): Generator<PatchSite> {
  for (const entry of entries(file.tables.jumpLabels, 16)) {
    const address = entry + file.i32(entry);
    const detail = entry + 4 + file.i32(entry + 4);
    const start = (file.i32(address) || 0) & 0xffff;
    const length = isShortLabel(start, detail - address) ? SHORT_LABEL : MIN_BRANCH;
    yield { kind: "jump-label", address, length, detail };
  }
}

/**
 * A jump or NOP of two bytes (since 5.14), or of five, which may begin with the same prefix. In a
 * guest that was stopped while it patched itself a breakpoint may stand for the first byte.
 */
function isShortLabel(start: number, distance: number): boolean {
  const [first, second] = [start & 0xff, start >>> 8];
  const isJump = (second << 24) >> 24 === distance - SHORT_LABEL;
  if (first === INT3) return second === NOP || isJump;
  return first === JMP8 || (first === PREFIX && second === NOP);
}

/** Sections `runtime_KIND_VARIABLE` (since 6.11): immediates that boot replaces by a value. */
function* runtimeConstants(kernel: Kernel, file: CodeFile): Generator<PatchSite> {
  const lengths = { ptr: 8, shift: 1, mask: 4 } as const;
  for (const [name, section] of file.sections) {
    const match = /^runtime_(ptr|shift|mask)_(\w+)$/.exec(name);
    if (match === null) continue;
    const kind = match[1] as keyof typeof lengths;
    const detail = kernel.symbol(match[2]);
    for (const entry of entries(section, 4)) {
      const address = entry + file.i32(entry);
      yield { kind: `runtime-${kind}`, address, length: lengths[kind], detail };
    }
  }
}

function* entries(section: Section | undefined, size: number): Generator<GuestVirtual> {
  if (section === undefined) return;
  const count = Math.min(Math.floor(section.size / size), MAX_ENTRIES);
  for (let index = 0; index < count; index++) yield section.start + index * size;
}
