import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRegisters } from "../../../src/vm/processors.ts";

const CPU = `
RAX=0000000000000000 RBX=ffffffff8f816900
RIP=ffffffff8ed2a1ab RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
GDT=     fffffe0000001000 0000007f
IDT=     fffffe0000000000 00000fff
CR0=80050033 CR2=00007f9ee1f2d000 CR3=0000000005f56000 CR4=00771ef0
DR0=0000000000000000
EFER=0000000000000d01
`;

test("registers of each processor are read from QEMU's words", () => {
  const [first, second, ...others] = parseRegisters(
    `CPU#0${CPU}\nCPU#1${CPU.replace("80050033", "80040033")}`,
  );
  assert.deepEqual(others, []);
  assert.deepEqual(first, {
    cr0: 0x80050033n,
    cr3: 0x5f56000n,
    cr4: 0x771ef0n,
    idtBase: 0xfffffe0000000000n,
    gdtBase: 0xfffffe0000001000n,
    efer: 0xd01n,
    lstar: undefined,
  });
  assert.equal(second.cr0, 0x80040033n);
});

test("a processor that runs firmware or was printed in part is left out", () => {
  assert.deepEqual(parseRegisters(`CPU#0${CPU.replace("SMM=0", "SMM=1")}`), []);
  assert.deepEqual(parseRegisters(`CPU#0${CPU.replace(/^IDT.*$/m, "")}`), []);
  assert.deepEqual(parseRegisters("no registers"), []);
});
