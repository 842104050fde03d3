import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQemuArguments } from "../../../src/vm/qemu-command-line.ts";
import type { QemuProcess } from "../../../src/vm/qemu-process.ts";
import { locateParts } from "../../../src/vm/ram-location.ts";
import { watchability } from "../../../src/vm/watchability.ts";

function qemuWith(words: string): QemuProcess {
  const args = parseQemuArguments(`-m 512 ${words}`.split(" "));
  return { pid: process.pid, startTime: 0, uid: 0, architecture: "x86_64", arguments: args };
}

const snp = { "qom-type": "sev-snp-guest", id: "lsec0", cbitpos: 51, "reduced-phys-bits": 1 };
/** As QEMU's manual and libvirt start such guests. */
const encrypted: readonly (readonly [by: string, words: string])[] = [
  [
    "AMD SEV",
    "-M q35,confidential-guest-support=s -object sev-guest,id=s,cbitpos=47,reduced-phys-bits=1",
  ],
  ["AMD SEV", "-machine q35 -machine memory-encryption=s -object sev-guest,id=s"],
  ["AMD SEV-SNP", `-M pc-q35-9.1,confidential-guest-support=lsec0 -object ${JSON.stringify(snp)}`],
  ["Intel TDX", "-object tdx-guest,id=t -M q35,kernel-irqchip=split,confidential-guest-support=t"],
  ["the processor", "-M q35,confidential-guest-support=x -object new-guest,id=x"],
];

test("memory that its processor encrypts is told as such, and nothing of it is read", () => {
  for (const [by, words] of encrypted) {
    const qemu = qemuWith(words);
    assert.equal(qemu.arguments.encryption, by);
    assert.throws(() => locateParts(qemu), { code: "KVMSEC_RAM_ENCRYPTED", message: RegExp(by) });
    const { reading, reason } = watchability(qemu);
    assert.equal(reading, "none");
    assert.match(reason ?? "", /encrypted by .* no one outside/);
  }
});

test("an object that no machine uses encrypts nothing", () => {
  const { arguments: read } = qemuWith("-M q35 -object sev-guest,id=sev0");
  assert.equal(read.encryption, undefined);
});
