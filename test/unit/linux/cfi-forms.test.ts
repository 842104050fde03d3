import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { CfiForms, isSkippedTest } from "../../../src/linux/kernel-text/cfi-forms.ts";

const TEXT = -0x7f00_0000;
const SEED_AT = -0x7e00_0000;
const BHI_ARGS = TEXT + 0x4000;
const SEED = 0x0102_0304;

/** As they lie in .rodata of 6.12 and of 7.0 (arch/x86/kernel/alternative.c). */
const TEMPLATES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "6.12": {
    fineibt_preamble: "f30f1efa4181ea7856341274020f0b90",
    fineibt_caller: "41ba785634124983eb100f1f4000",
  },
  "7.0": {
    fineibt_preamble: "f30f1efa2d78563412670f1f40d675fd",
    fineibt_caller: "b8785634124d8d5bf00f1f440000",
    fineibt_paranoid: "b878563412413b43f52e4d8d5bf075fd41ffd390",
    fineibt_bhi1: "2e490f45fa75030f1f40d6",
  },
};

function forms(templates: Readonly<Record<string, string>> = {}, seed?: number): CfiForms {
  const data = new Map<number, Uint8Array>();
  const symbols = new Map<string, number>();
  for (const [i, [name, hex]] of Object.entries(templates).entries()) {
    const bytes = Buffer.from(hex, "hex");
    const start = SEED_AT + 64 * (i + 1);
    data.set(start, bytes);
    symbols.set(`${name}_start`, start).set(`${name}_end`, start + bytes.length);
  }
  if (seed !== undefined) symbols.set("cfi_seed", SEED_AT);
  const kernel = {
    symbol: (name: string) => symbols.get(name) ?? Number.NaN,
    space: {
      u32: (address: number) => (address === SEED_AT ? seed : Number.NaN),
      bytes: (address: number) => data.get(address),
    },
  } as unknown as Kernel;
  return new CfiForms(kernel, (target) => (target === BHI_ARGS ? "__bhi_args_2" : ""));
}

const NOPS = "90".repeat(11);
/** The hash 0x11223344. */
const PREAMBLE = `b844332211${NOPS}`;
const CALLER = "41babcccddee450353f174020f0b";

function preamble(of: CfiForms, seen: string): boolean {
  return of.isPreamble(Buffer.from(seen, "hex"), 0, TEXT, Buffer.from(PREAMBLE, "hex"));
}

function caller(of: CfiForms, seen: string): boolean {
  return of.isCaller(Buffer.from(seen, "hex"), 0, Buffer.from(CALLER, "hex"));
}

describe("what boot makes of kCFI", () => {
  test("hashes stay, or are mixed with the seed of this boot and no other", () => {
    const plain = forms();
    assert.ok(preamble(plain, PREAMBLE) && caller(plain, CALLER));
    assert.ok(!preamble(plain, `b840302010${NOPS}`));
    const mixed = forms({}, SEED);
    // 0x11223344 ^ 0x01020304 = 0x10203040, and its negative before the call.
    assert.ok(preamble(mixed, `b840302010${NOPS}`));
    assert.ok(caller(mixed, "41bac0cfdfef450353f174020f0b"));
    assert.ok(!preamble(mixed, PREAMBLE) && !caller(mixed, CALLER));
    assert.ok(!preamble(mixed, `b841302010${NOPS}`));
  });

  test("a sealed function has no hash, and CFI that is off is jumped over", () => {
    assert.ok(preamble(forms(), `b800000000${NOPS}`));
    assert.ok(caller(forms(), "eb0cbcccddee450353f174020f0b"));
    assert.ok(!caller(forms(), "eb0dbcccddee450353f174020f0b"));
    assert.ok(isSkippedTest(Buffer.from("90eb0cbcccddee450353f174020f0b", "hex"), 1));
    assert.ok(!isSkippedTest(Buffer.from("eb0cbcccddee450353f174020f90", "hex"), 0));
  });

  test("code behind the hash is nobody's to change", () => {
    assert.ok(!preamble(forms(), `b844332211${NOPS.slice(2)}cc`));
    assert.ok(!preamble(forms(), `b844332211e90000000090909090${"90".repeat(2)}`));
    assert.ok(!caller(forms(), "41babcccddee450353f1eb020f0b"));
  });

  for (const [release, templates] of Object.entries(TEMPLATES)) {
    test(`FineIBT as ${release} has it in its constant data`, () => {
      const of = forms(templates, SEED);
      const put = (name: string, hash = "40302010") => templates[name].replace("78563412", hash);
      assert.ok(preamble(of, put("fineibt_preamble")));
      assert.ok(preamble(of, put("fineibt_preamble", "00000000").replace("f30f1efa", "660f1f00")));
      assert.ok(!preamble(of, put("fineibt_preamble", "40302011")));
      assert.ok(!preamble(of, put("fineibt_preamble").replace("f30f1efa", "e9000000")));
      assert.ok(caller(of, put("fineibt_caller")));
      assert.ok(!caller(of, put("fineibt_caller", "40302011")));
      assert.ok(!preamble(forms({}, SEED), put("fineibt_preamble")));
    });
  }

  test("paranoid calls, and arguments that are cleared", () => {
    const of = forms(TEMPLATES["7.0"], SEED);
    assert.ok(caller(of, "b840302010413b43f52e4d8d5bf0"));
    assert.ok(preamble(of, "f30f1efa2d403020102e490f45fa7503"));
    const distance = Buffer.alloc(4);
    distance.writeInt32LE(BHI_ARGS - TEXT - 16);
    assert.ok(preamble(of, `f30f1efa2d403020102e2ee8${distance.toString("hex")}`));
    distance.writeInt32LE(BHI_ARGS - TEXT);
    assert.ok(!preamble(of, `f30f1efa2d403020102e2ee8${distance.toString("hex")}`));
  });
});
