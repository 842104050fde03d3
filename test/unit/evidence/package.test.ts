import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { CoreFile } from "../../../src/evidence/core-file.ts";
import { sealPackage } from "../../../src/evidence/manifest.ts";
import { parseRegisters } from "../../../src/evidence/registers.ts";
import { verifyPackage } from "../../../src/evidence/verify.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import { openHome } from "../../../src/vm/home.ts";
import type { Home } from "../../../src/vm/home.ts";

let scratch: string;
let home: Home;
let folder: string;
beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), "kvmsec-evidence-"));
  mkdirSync(join(scratch, "home"), { mode: 0o700 });
  home = openHome({ KVMSEC_HOME: join(scratch, "home") });
  folder = join(scratch, "package");
  mkdirSync(join(folder, "views"), { recursive: true });
  writeFileSync(join(folder, "memory.elf"), Buffer.alloc(100_000, 7));
  writeFileSync(join(folder, "views", "ps.json"), "{}\n");
  await sealPackage(home, folder, "id", { target: "web" });
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const faults = async (): Promise<string[]> =>
  (await verifyPackage(folder)).faults.map(({ path, fault }) => `${path} ${fault}`);

test("an untouched package verifies, and its key is its owner's alone", async () => {
  assert.deepEqual(await faults(), []);
  assert.match((await verifyPackage(folder)).signer ?? "", /^[0-9a-f]{64}$/);
  assert.equal(statSync(join(home.root, "keys", "evidence.pem")).mode & 0o777, 0o600);
});

test("one changed byte is found anywhere in a file, and the file named", async () => {
  const path = join(folder, "memory.elf");
  const whole = readFileSync(path);
  for (const at of [0, 4095, 50_000, whole.length - 1]) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 1;
    writeFileSync(path, changed);
    assert.deepEqual(await faults(), ["memory.elf changed"]);
  }
  writeFileSync(path, whole);
  appendFileSync(path, "x");
  assert.deepEqual(await faults(), ["memory.elf changed"]);
});

test("files that are missing, added or replaced by a link are named", async () => {
  rmSync(join(folder, "views", "ps.json"));
  assert.deepEqual(await faults(), ["views/ps.json missing"]);
  writeFileSync(join(scratch, "twin"), "{}\n");
  symlinkSync(join(scratch, "twin"), join(folder, "views", "ps.json"));
  assert.deepEqual(await faults(), ["views/ps.json changed"]);
  writeFileSync(join(folder, "more"), "");
  assert.deepEqual(await faults(), ["views/ps.json changed", "more added"]);
});

test("one changed byte of the manifest, or another's signature, is found", async () => {
  const path = join(folder, "manifest.json");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace('"web"', '"wab"'));
  assert.deepEqual(await faults(), ["manifest.json unsigned"]);
  writeFileSync(path, text);
  assert.deepEqual(await faults(), []);
  const signature = join(folder, "manifest.sig.json");
  const signed = readFileSync(signature, "latin1");
  for (let at = 0; at < signed.length; at++) {
    const other = signed[at] === "-" ? "+" : "-";
    writeFileSync(signature, signed.slice(0, at) + other + signed.slice(at + 1));
    assert.deepEqual(await faults(), ["manifest.json unsigned"], `byte ${at}`);
  }
  writeFileSync(signature, signed);
});

test("what is no package is refused", async () => {
  await assert.rejects(verifyPackage(scratch), { code: "KVMSEC_EVIDENCE_UNREADABLE" });
});

const REGISTERS = `
CPU#0
RAX=0000000000000001 RBX=0000000000000002 RCX=0000000000000003 RDX=4000000000000000
R8 =0000000000022e80 R9 =00000000313b2a07 R10=00000000fffffffb R11=0000000000000001
RIP=ffffffffa4017a0b RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]
GS =0000 ff1d4a969ee00000 00000000 00000000
GDT=     fffffe0000001000 0000007f
IDT=     fffffe0000000000 00000fff
CR0=80050033 CR2=00007f5355dad9f0 CR3=0000000015a20000 CR4=00751eb0
EFER=0000000000000d01
`;

test("a core's notes give back the registers, and its memory lies where it lay", () => {
  const path = join(scratch, "core");
  const blocks = [
    { start: 0, size: 8192, offset: 0 },
    { start: 2 ** 32, size: 4096, offset: 8192 },
  ];
  using core = new CoreFile(path, blocks);
  core.writeHead(parseRegisters(REGISTERS), {
    vmcoreinfo: Buffer.from("OSRELEASE=6.1\n"),
    directMap: 0xffff888000000000n,
    image: { virtual: 0xffffffff81000000n, physical: 0x1000, size: 0x1000 },
  });
  using memory = openDump(path);
  assert.deepEqual(
    memory.ranges.map(({ start, size }) => [start, size]),
    [
      [0, 8192],
      [2 ** 32, 4096],
    ],
  );
  assert.equal(memory.notes.vmcoreinfo, "OSRELEASE=6.1\n");
  const [cpu] = memory.notes.cpus;
  assert.equal(cpu?.registers["rip"], 0xffff_ffff_a401_7a0bn);
  assert.equal(cpu?.registers["r8"], 0x22e80n);
  assert.equal(cpu?.registers["gsBase"], 0xff1d_4a96_9ee0_0000n);
  assert.equal(cpu?.control?.cr3, 0x15a2_0000n);
  assert.deepEqual(cpu?.segments?.idt, { selector: 0, base: 0xffff_fe00_0000_0000n, limit: 0xfff });
  assert.equal(cpu?.segments?.cs.selector, 0x10);
});
