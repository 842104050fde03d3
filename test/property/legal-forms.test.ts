import { test } from "node:test";
import fc from "fast-check";
import { LegalForms } from "../../src/linux/kernel-text/legal-forms.ts";
import type { LegalTargets } from "../../src/linux/kernel-text/legal-forms.ts";
import { removeProbes } from "../../src/linux/kernel-text/planted-probes.ts";
import { SITE_KINDS } from "../../src/linux/kernel-text/site-table.ts";
import { hookForm } from "../../src/linux/kernel-text/hook-forms.ts";
import { decodeInstruction } from "../../src/arch/x86/instruction.ts";
import { BtfWriter } from "../fixtures/btf-writer.ts";
import { toyKernel } from "../fixtures/toy-kernel.ts";

const BASE = -0x7f00_0000;
/** As long as the kernel's own tables say. */
const LENGTHS: Readonly<Record<string, readonly number[]>> = {
  lock: [1],
  endbr: [4],
  "jump-label": [2, 5],
  "runtime-ptr": [8],
  "runtime-shift": [1],
  "runtime-mask": [4],
  "cfi-preamble": [16],
  "cfi-caller": [14],
  "cfi-hash": [4],
};
/** Of a site in the midst of a change, and of what may stand there before and after. */
const firstBytes = fc.constantFrom(0xcc, 0xe8, 0xe9, 0xeb, 0xc3, 0x0f, 0x66, 0x90, 0x70, 0xff);

const sites = fc.constantFrom(...SITE_KINDS).chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    length: fc.constantFrom(...(LENGTHS[kind] ?? [5, 6, 7])),
    detail: fc.constantFrom(Number.NaN, BASE, BASE + 0x20),
  }),
);

test("whatever stands at a site, and however close to its function's end, gets an answer", () => {
  const { kernel } = toyKernel(new BtfWriter());
  fc.assert(
    fc.property(
      sites,
      firstBytes,
      fc.uint8Array({ minLength: 16, maxLength: 24 }),
      fc.boolean(),
      fc.constantFrom("", "__x86_return_thunk", "__x86_indirect_thunk_rax"),
      ({ kind, length, detail }, first, code, changing, names) => {
        const targets: LegalTargets = {
          isTrampoline: () => false,
          isTracer: () => false,
          isFunction: () => false,
          isThunkPage: () => false,
          namesAt: () => names,
          symbol: () => Number.NaN,
          generation: "",
          probes: { at: new Map(), isProbeCode: () => true },
          isBeingPatched: () => changing,
        };
        const at = code.length - length;
        code[at] = first;
        const site = { kind, address: BASE + at, length, detail };
        new LegalForms(kernel, targets).allows(site, code, at, site.address, code.subarray(at));
        const instruction = decodeInstruction(code, at);
        const space = { folding: kernel.space.folding, pointer: () => BASE };
        if (instruction !== undefined) hookForm(space, code, at, site.address, instruction);
        const probe = { address: site.address, opcode: 0x55, copied: undefined };
        const probes = { at: new Map([[site.address, probe]]), isProbeCode: () => true };
        removeProbes(code, BASE, probes);
      },
    ),
    { numRuns: 20_000 },
  );
});
