import assert from "node:assert/strict";
import { randomUUID, sign } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CoreFile } from "../../../src/evidence/core-file.ts";
import { hashFile, sealPackage, signatureText } from "../../../src/evidence/manifest.ts";
import type { Manifest } from "../../../src/evidence/manifest.ts";
import { publicPem, signingKey } from "../../../src/evidence/signing-key.ts";
import { parseRegisters } from "../../../src/evidence/registers.ts";
import { verifyPackage } from "../../../src/evidence/verify.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import { pendingJobs } from "../../../src/response/job.ts";
import { Journal } from "../../../src/response/journal.ts";
import { settlePending } from "../../../src/response/pending.ts";
import { changeStorage } from "../../../src/response/storage-job.ts";
import { startKvmsec } from "../../vm/command-line.ts";
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

const tree = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((path) => [path, readFileSync(path, "latin1")]),
  );

test("compressed, it verifies as before; unpacked, it is byte for byte what it was", async () => {
  const before = tree();
  const made = await changeStorage(home, folder, "compress");
  assert.deepEqual([made.files, made.contentBytes], [1, 100_000]);
  assert.deepEqual(await faults(), []);
  assert.equal(existsSync(join(folder, "memory.elf")), false);
  assert.ok(statSync(join(folder, "memory.elf.zst")).size < 1000);
  assert.equal((await verifyPackage(folder)).packer, (await verifyPackage(folder)).signer);
  assert.equal((await changeStorage(home, folder, "compress")).files, 0, "twice is once");
  assert.equal((await changeStorage(home, folder, "expand")).files, 1);
  assert.deepEqual(tree(), before);
  const { packer } = await verifyPackage(folder);
  assert.equal(packer, undefined);
  assert.deepEqual(pendingJobs(home), []);
});

test("a changed byte anywhere in a compressed package is named", async () => {
  await changeStorage(home, folder, "compress");
  for (const name of ["memory.elf.zst", "storage.json"]) {
    const path = join(folder, name);
    const good = readFileSync(path);
    for (let at = 0; at < good.length; at += 3) {
      const bad = Buffer.from(good);
      bad[at]! ^= 1;
      writeFileSync(path, bad);
      const told = await faults();
      assert.ok(
        told.some((fault) => fault.startsWith(name)),
        `byte ${at} of ${name}: ${told.join()}`,
      );
    }
    writeFileSync(path, good);
  }
  rmSync(join(folder, "storage.json"));
  assert.deepEqual(await faults(), ["memory.elf.zst added"]);
  rmSync(join(folder, "memory.elf.zst"));
  assert.deepEqual(await faults(), ["memory.elf missing"]);
});

test("what was changed before, or does not belong to it, is not packed", async () => {
  const path = join(folder, "memory.elf");
  appendFileSync(path, "x");
  const before = tree();
  const refused = { code: "KVMSEC_EVIDENCE_CHANGED" };
  await assert.rejects(changeStorage(home, folder, "compress"), refused);
  assert.deepEqual(tree(), before);
  assert.deepEqual(readdirSync(scratch).toSorted(), ["home", "package"]);
  rmSync(join(folder, "manifest.sig.json"));
  await assert.rejects(changeStorage(home, folder, "compress"), refused);
});

test("a manifest that names files outside of its package, or links, moves none of them", async () => {
  const outside = join(scratch, "outside");
  writeFileSync(outside, Buffer.alloc(100_000));
  symlinkSync(outside, join(folder, "link"));
  const read = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Manifest;
  const hashed = await hashFile(outside);
  const files = ["../outside", "link"].map((path) => ({ path, ...hashed, chain: "" }));
  const text = JSON.stringify({ ...read, files });
  const key = signingKey(home);
  const signature = sign(null, Buffer.from(text), key).toString("base64");
  const signed = { publicKey: publicPem(key), signature, algorithm: "Ed25519" } as const;
  writeFileSync(join(folder, "manifest.json"), text);
  writeFileSync(
    join(folder, "manifest.sig.json"),
    signatureText({ schema: "kvmsec.evidence-signature/1", ...signed }),
  );
  assert.equal((await changeStorage(home, folder, "compress")).files, 0);
  assert.deepEqual(await hashFile(outside), hashed);
});

test("whoever dies at any step leaves a package that verifies, and the next one settles it", async () => {
  const data = { folder, partial: `${folder}.partial-${randomUUID()}` };
  const target = { text: "web", identity: { pid: 0, startTime: 0, bootId: "" } };
  const worker = { pid: 2 ** 22 + 1, startTime: 1, bootId: "none" };
  const original = readFileSync(join(folder, "memory.elf"));
  await changeStorage(home, folder, "compress");
  const packed = readFileSync(join(folder, "memory.elf.zst"));
  // The record is there, and of the files none, one or both forms: each moment between two steps.
  const moments: readonly (() => void)[] = [
    () => rmSync(join(folder, "memory.elf.zst")),
    () => writeFileSync(join(folder, "memory.elf.zst"), packed),
  ];
  for (const reach of moments) {
    writeFileSync(join(folder, "memory.elf"), original);
    reach();
    mkdirSync(data.partial);
    assert.deepEqual(await faults(), []);
    const job = randomUUID();
    await new Journal(home).append({
      kind: "begin",
      job,
      data: { action: "compress", target, worker, ...data },
    });
    const settled = await settlePending(home, () => assert.fail());
    assert.deepEqual(
      settled.map(({ result }) => result),
      ["undone"],
    );
    assert.deepEqual(await faults(), []);
    assert.equal(existsSync(data.partial), false);
    assert.deepEqual(readFileSync(join(folder, "memory.elf")), original);
    assert.equal((await changeStorage(home, folder, "compress")).files, 1);
    assert.deepEqual(await faults(), []);
  }
});

const begun = (): boolean => readdirSync(scratch).some((name) => name.includes(".partial-"));

test("a compression that is killed loses nothing", async () => {
  const path = join(folder, "memory.elf");
  // Large enough that it is killed in the middle, wherever that is.
  writeFileSync(path, Buffer.from(Array.from({ length: 2 ** 20 }, (_, n) => (n * n) >> 5)));
  for (let n = 0; n < 6; n++) appendFileSync(path, readFileSync(path));
  await sealPackage(home, folder, "id", { target: "web" });
  const before = await hashFile(path);
  const child = startKvmsec(home.root, ["evidence", "compress", folder]);
  const gone = new Promise((resolve) => child.on("close", resolve));
  while (!begun() && child.exitCode === null) await sleep(5);
  process.kill(-child.pid!, "SIGKILL");
  await gone;
  assert.deepEqual(await faults(), []);
  const settled = await settlePending(home, () => assert.fail());
  assert.deepEqual(
    settled.map(({ action, result }) => [action, result]),
    [["compress", "undone"]],
  );
  assert.equal(begun(), false);
  assert.deepEqual(await hashFile(path), before);
});
