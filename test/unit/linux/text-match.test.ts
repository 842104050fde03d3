import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { LegalForms } from "../../../src/linux/kernel-text/legal-forms.ts";
import type { LegalTargets } from "../../../src/linux/kernel-text/legal-forms.ts";
import { ModuleCode } from "../../../src/linux/kernel-text/module-code.ts";
import { TextMatcher } from "../../../src/linux/kernel-text/text-match.ts";

const BASE = -0x7f00_0000;
const REPLACEMENT = BASE + 0x100;

const targets: LegalTargets = {
  isTrampoline: () => false,
  isTracer: () => false,
  isFunction: () => false,
  isThunkPage: () => false,
  namesAt: () => "",
  symbol: () => Number.NaN,
  generation: "",
  probes: { at: new Map(), isProbeCode: () => false },
  isBeingPatched: () => false,
};
const forms = new LegalForms({ image: { virtual: BASE, size: 0x1000 } } as Kernel, targets);

/** Whether the kernel may put `seen` where a branch to a retpoline stood. */
function allowed(seen: string, original = "e900100000"): boolean {
  const site = { kind: "retpoline", address: BASE, length: 5, detail: Number.NaN } as const;
  const code = Buffer.from(seen.padEnd(64, "0"), "hex");
  return forms.allows(site, code, 0, BASE, Buffer.from(original, "hex"));
}

test("a branch to a retpoline becomes the branch itself, with a breakpoint behind a jump", () => {
  // patch_retpoline, 5.17 and later: jmp *%rax; int3; nop2.
  assert.ok(allowed("ffe0cc6690"));
  assert.ok(allowed("41ffe2cc6690", "2ee900100000"));
  assert.ok(allowed("ffe0cccccc"));
  assert.ok(allowed("ffe00f1f00"));
  assert.ok(allowed("ffd00f1f00", "e800100000"));
  // Nothing runs behind a jump, but a call comes back.
  assert.ok(!allowed("ffd0cc6690", "e800100000"));
  assert.ok(!allowed("ffe0cc31c0"));
});

function part(name: string, start: number, hex: string) {
  const bytes = Buffer.from(hex, "hex");
  return { name, start, end: start + bytes.length, bytes, executable: true };
}

/** Whether `seen` is `replacement`, moved, in the room of 21 bytes that a retpoline takes. */
function replaced(seen: string, replacement: string): boolean {
  const original = "e807000000f3900faee8ebf948890424e99b070000";
  const file = new ModuleCode(
    [part(".text", BASE, original), part(".altinstr_replacement", REPLACEMENT, replacement)],
    [],
  );
  const alternative = {
    address: BASE,
    length: 21,
    replacement: REPLACEMENT,
    replacementLength: replacement.length / 2,
  };
  const code = Buffer.from(seen.padEnd(64, "0"), "hex");
  return new TextMatcher(file, new Map(), forms).matchesAlternative({ code, base: BASE }, [
    alternative,
  ]);
}

test("a replacement that ends in a breakpoint has NOPs behind it", () => {
  // spectre_v2=retpoline,lfence: lfence; jmp *%rax; int3, then NOPs of 8 and 7 bytes.
  const replacement = "0faee8ffe0cc";
  const nops = "0f1f8400000000000f1f8000000000";
  assert.ok(replaced(replacement + nops, replacement));
  assert.ok(!replaced(`0faee8ffe0cc31c0${nops}`.slice(0, 42), replacement));
  assert.ok(!replaced(`0faee8ffe131c0${nops}`.slice(0, 42), replacement));
});

/** Whether the kernel may let a conditional jump to a static call without a function end at `name`. */
function jumpsTo(name: string, func: number): boolean {
  const kernel = {
    image: { virtual: BASE, size: 0x1000 },
    readerOf: () => () => func,
  } as unknown as Kernel;
  const named = new LegalForms(kernel, {
    ...targets,
    namesAt: (target) => (target === BASE + 6 + 0x100 ? name : ""),
  });
  const site = { kind: "static-call", address: BASE, length: 6, detail: BASE } as const;
  const code = Buffer.from("0f8500010000".padEnd(64, "0"), "hex");
  return named.allows(site, code, 0, BASE, Buffer.from("0f8500100000", "hex"));
}

test("a conditional jump to a static call that does nothing leads to a return", () => {
  assert.ok(jumpsTo("__static_call_return", 0));
  assert.ok(jumpsTo("__x86_return_thunk", 0));
  assert.ok(!jumpsTo("__static_call_return", BASE + 0x200));
  assert.ok(!jumpsTo("x86_pmu_add", 0));
});

test("a static call to nothing returns, as compiled without return thunks too", () => {
  const kernel = {
    image: { virtual: BASE, size: 0x1000 },
    readerOf: () => undefined,
  } as unknown as Kernel;
  const site = { kind: "static-call", address: BASE, length: 5, detail: BASE } as const;
  const allows = (seen: string): boolean =>
    new LegalForms(kernel, targets).allows(
      site,
      Buffer.from(seen.padEnd(64, "0"), "hex"),
      0,
      BASE,
      Buffer.from("e900100000", "hex"),
    );
  assert.ok(allows("c3cc909090"));
  assert.ok(allows("c3cccccccc"));
  assert.ok(!allows("c3cce90000"));
  assert.ok(!allows("cccc909090"));
});
