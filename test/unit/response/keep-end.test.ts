import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { readManifest, verifyPackage } from "../../../src/evidence/verify.ts";
import { keepEnd } from "../../../src/response/keep-end.ts";
import { newPacketFile } from "../../../src/vm/packet-files.ts";
import { openHome } from "../../../src/vm/home.ts";
import { vmPaths } from "../../../src/vm/vm-state.ts";
import { vmConfig } from "../../fixtures/vm-config.ts";

const MEMORY = 8 * 2 ** 20;
/** Above the largest pid that Linux gives (PID_MAX_LIMIT, include/linux/threads.h). */
const NOBODY = 4_194_305;

const config = vmConfig({ memoryBytes: MEMORY, ram: "file", network: "none", accelerator: "tcg" });

/** A VM's folder as a QEMU leaves it that was killed. */
function deadVm(t: TestContext, pid = NOBODY) {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-end-"));
  t.after(() => rmSync(root, { recursive: true }));
  const home = openHome({ KVMSEC_HOME: root });
  const paths = vmPaths(home, config.name);
  mkdirSync(paths.folder, { recursive: true });
  const ramPath = join(root, "ram");
  const ram = Buffer.alloc(MEMORY);
  ram.write("the last words in memory", 5 * 2 ** 20);
  writeFileSync(ramPath, ram);
  writeFileSync(paths.config, JSON.stringify(config));
  const schema = "kvmsec.vm-run/1";
  const times = { startTime: 1, bootId: "b", startedAt: "2026-01-01T00:00:00.000Z" };
  const run = { schema, pid, ...times, accelerator: "tcg", acceleratorReason: "", ramPath };
  writeFileSync(paths.run, JSON.stringify(run));
  writeFileSync(paths.pidFile, String(pid));
  writeFileSync(paths.log, "qemu: fatal: it broke\n");
  writeFileSync(paths.disk, "QFI\xfb and what the guest wrote");
  writeFileSync(join(paths.folder, `core.${pid}`), "ELF core of QEMU");
  return { home, paths, ramPath, ram };
}

test("RAM, disk, log and core are kept, signed, and only once", async (t) => {
  const { home, paths, ram } = deadVm(t);
  const kept = await keepEnd(home, config, paths);
  assert.ok(kept !== undefined);
  assert.deepEqual((await verifyPackage(kept.folder)).faults, []);
  const { manifest } = readManifest(kept.folder);
  assert.deepEqual([manifest.facts["kind"], manifest.facts["target"]], ["end", "web"]);
  assert.deepEqual(
    manifest.files.map(({ path }) => path),
    [`core.${NOBODY}`, "disk.qcow2", "memory.elf", "qemu.log", "run.json", "vm.json"],
  );
  assert.equal(readFileSync(join(kept.folder, "qemu.log"), "utf8"), "qemu: fatal: it broke\n");
  const core = readFileSync(join(kept.folder, "memory.elf"));
  assert.ok(core.subarray(-MEMORY).equals(ram));
  assert.equal(await keepEnd(home, config, paths), undefined);
});

/** A packet as QEMU writes it (pcap). */
function record(seconds: number, text: string): Buffer {
  const bytes = Buffer.alloc(16 + text.length);
  for (const [at, value] of [seconds, 250_000, text.length, text.length].entries()) {
    bytes.writeUInt32LE(value, at * 4);
  }
  bytes.write(text, 16);
  return bytes;
}

test("its packets are kept up to the last whole one, at the times at which they were written", async (t) => {
  const { home, paths } = deadVm(t);
  const { path } = newPacketFile(paths);
  const header = Buffer.from("d4c3b2a10200040000000000000000000000010001000000", "hex");
  // QEMU counts from when it began to write: both are 100 seconds late, and 2 seconds apart.
  const written = Date.parse("2026-01-01T00:00:10.250Z") / 1000;
  const late = Math.floor(written) + 100;
  const torn = record(late + 1, "the third").subarray(0, 20);
  writeFileSync(
    path,
    Buffer.concat([header, record(late - 2, "the first"), record(late, "the second"), torn]),
  );
  utimesSync(path, written, written);
  const kept = await keepEnd(home, config, paths);
  assert.ok(kept !== undefined);
  assert.deepEqual((await verifyPackage(kept.folder)).faults, []);
  const { files } = JSON.parse(readFileSync(join(kept.folder, "packets.json"), "utf8"));
  assert.deepEqual(files, [
    {
      file: "packets/000001.pcap",
      packets: 2,
      from: "2026-01-01T00:00:08.250Z",
      until: "2026-01-01T00:00:10.250Z",
      shiftedBySeconds: 100,
      broken: false,
    },
  ]);
  const copied = readFileSync(join(kept.folder, "packets", "000001.pcap"));
  const expected = [record(late - 102, "the first"), record(late - 100, "the second")];
  assert.ok(copied.equals(Buffer.concat([header, ...expected])));
});

test("memory that has no name any more is kept through the descriptor that somebody holds", async (t) => {
  const { home, paths, ramPath, ram } = deadVm(t);
  const fd = openSync(ramPath, "r");
  rmSync(ramPath);
  const kept = await keepEnd(home, config, paths, { ram: `/proc/${process.pid}/fd/${fd}` });
  assert.equal(kept?.memory, "memory.elf");
  const core = readFileSync(join(kept.folder, "memory.elf"));
  assert.ok(core.subarray(-MEMORY).equals(ram));
  assert.equal(readSync(fd, Buffer.alloc(1)), 1);
});

test("where the memory went with QEMU, or was cut short, the rest is kept and that is told", async (t) => {
  for (const [spoil, says] of [
    [(path: string) => rmSync(path), /went with QEMU/],
    [(path: string) => writeFileSync(path, "short"), /cut short/],
  ] as const) {
    const { home, paths, ramPath } = deadVm(t);
    spoil(ramPath);
    const kept = await keepEnd(home, config, paths);
    assert.match(String(kept?.memory), says);
    assert.ok(existsSync(join(kept!.folder, "disk.qcow2")));
  }
});

test("an end in order leaves nothing to keep, nor does a VM that runs", async (t) => {
  const { home, paths } = deadVm(t);
  rmSync(paths.pidFile);
  assert.equal(await keepEnd(home, config, paths), undefined);
  assert.equal(existsSync(join(home.root, "evidence")), false);
});

test("a package that cannot be finished leaves no half of it, and what there is stays", async (t) => {
  const { home, paths } = deadVm(t);
  rmSync(paths.disk);
  await assert.rejects(keepEnd(home, config, paths), { code: "ENOENT" });
  assert.ok(existsSync(paths.pidFile));
});
