import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { branchTarget, decodeInstruction } from "../../src/arch/x86/instruction.ts";
import { decompressKernel, parseBzImage } from "../../src/formats/bzimage.ts";
import { elfSection, parseElf } from "../../src/formats/elf.ts";
import { kernel } from "./harness/debian-kernel.ts";

const MIB = 2 ** 20;

/** The first MiB of a kernel's text: decoding begins where objdump's does. */
async function kernelText(): Promise<Uint8Array> {
  const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
  const boot = parseBzImage(readFileSync(bookworm.vmlinuz));
  assert.ok(boot.ok);
  const unpacked = decompressKernel(boot.image);
  assert.ok(unpacked.ok);
  const elf = parseElf(unpacked.vmlinux);
  assert.ok(elf.ok);
  const text = elfSection(unpacked.vmlinux, elf.elf, ".text");
  assert.ok(text !== undefined);
  return text.subarray(0, MIB);
}

test("instruction lengths and branch targets are objdump's", async () => {
  const code = await kernelText();
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-text-"));
  try {
    const file = join(folder, "text");
    writeFileSync(file, code);
    const listing = execFileSync(
      "objdump",
      ["-D", "-b", "binary", "-m", "i386:x86-64", "--insn-width=16", file],
      { maxBuffer: 512 * MIB },
    ).toString("latin1");
    let compared = 0;
    for (const line of listing.split("\n")) {
      const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t?(.*)$/.exec(line);
      if (match === null || match[3].includes("(bad)") || match[3].includes(".byte")) continue;
      const at = Number.parseInt(match[1], 16);
      const length = match[2].trim().split(" ").length;
      if (at + length >= code.length) break;
      const instruction = decodeInstruction(code, at);
      assert.equal(instruction?.length, length, line);
      const target = /^(?:call|j\w+)\s+(?:\*.*|0x([0-9a-f]+))$/.exec(match[3])?.[1];
      if (target !== undefined) {
        const expected = BigInt.asIntN(64, BigInt(`0x${target}`));
        assert.equal(branchTarget(code, at, at, instruction), Number(expected), line);
      }
      compared++;
    }
    assert.ok(compared > 200_000, `${compared} instructions`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
