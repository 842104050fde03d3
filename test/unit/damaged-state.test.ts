import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { KvmsecError } from "../../src/base/errors.ts";
import { guestsNow } from "../../src/daemon/guarded-guest.ts";
import { readTimeline } from "../../src/evidence/read-timeline.ts";
import { readHolds } from "../../src/evidence/holds.ts";
import { sealPackage } from "../../src/evidence/manifest.ts";
import { readManifest, verifyPackage } from "../../src/evidence/verify.ts";
import { Journal } from "../../src/response/journal.ts";
import { orderedEnd, pendingJobs } from "../../src/response/job.ts";
import { revive } from "../../src/response/revive.ts";
import { findState, stateFolder } from "../../src/response/saved-state.ts";
import { recordedPast } from "../../src/response/timeline-records.ts";
import { Store } from "../../src/store/store.ts";
import { listVms } from "../../src/vm/guest-vm.ts";
import { openHome } from "../../src/vm/home.ts";
import type { Home } from "../../src/vm/home.ts";
import { findImage } from "../../src/vm/images.ts";
import { packetState, writePacketState } from "../../src/vm/packet-files.ts";
import { vmsWithPackets } from "../../src/vm/packet-keeping.ts";
import { processIdentity } from "../../src/vm/process-identity.ts";
import { abnormalEnd } from "../../src/vm/vm-end.ts";
import { findConfig, findRun, vmPaths } from "../../src/vm/vm-state.ts";
import { changedAt, damagedJson } from "../fixtures/damaged-json.ts";
import { kvmsec } from "../vm/command-line.ts";
import { vmConfig } from "../fixtures/vm-config.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";

const RUNS = 100;
const hash = "0".repeat(64);
const identity = { pid: 2 ** 22 + 1, startTime: 1, bootId: "none" };
const at = "2026-01-01T00:00:00.000Z";

const config = vmConfig({ packets: { keepBytes: 2 ** 20 } });
const run = {
  schema: "kvmsec.vm-run/1",
  ...identity,
  startedAt: at,
  accelerator: "tcg",
  acceleratorReason: "no KVM",
  ramPath: "/dev/shm/kvmsec-1",
};
const image = {
  schema: "kvmsec.image/1",
  name: "base",
  key: hash,
  id: "1",
  distribution: "debian",
  release: "bookworm",
  kernel: "cloud",
  packages: ["htop"],
  size: 2 ** 32,
  createdAt: at,
  kernelRelease: "6.1.0",
  commandLine: "root=/dev/vda",
  buildMs: 1,
};
const saved = {
  schema: "kvmsec.saved-state/1",
  name: "clean",
  kind: "clean",
  savedAt: at,
  config,
  accelerator: "tcg",
  machineType: "pc-q35-7.2",
  running: true,
  hashes: { "ram.img": hash, "device-state.bin": hash, "disk.qcow2": hash },
  signature: "AAAA",
};
const manifest = {
  schema: "kvmsec.evidence/1",
  id: randomUUID(),
  createdAt: at,
  facts: { target: "web", vm: { config, run }, disks: [{ file: "disk.qcow2" }] },
  files: [{ path: "memory.elf", size: 1, sha256: hash, chain: hash }],
};
const timeline = {
  schema: "kvmsec.timeline/1",
  clock: { bootTime: at, guestAheadMs: 1, correctedMs: 0 },
  entries: [{ at, guestTime: at, kind: "boot", source: "views/info.json", text: "booted" }],
  incomplete: ["nothing"],
};

/** The files of a home, and who reads them; each refuses in its own words, or goes on without. */
function readers(home: Home) {
  const paths = vmPaths(home, "web");
  const hold = { schema: "kvmsec.evidence-hold/1", id: manifest.id, by: "me", note: "", at };
  const packets = { schema: "kvmsec.vm-packets/1", keepBytes: 1, by: "owner", run: identity };
  const damaged = "KVMSEC_STATE_DAMAGED";
  const folder = join(home.root, "evidence", "one");
  return [
    { path: paths.config, document: config, code: damaged, read: () => listVms(home) },
    { path: paths.run, document: run, code: damaged, read: () => findRun(home, config) },
    { path: paths.run, document: run, code: damaged, read: () => abnormalEnd(paths) },
    {
      path: paths.packetState,
      document: packets,
      code: undefined,
      read: () => packetState(paths, identity),
    },
    {
      path: join(home.images, "base", "image.json"),
      document: image,
      code: damaged,
      read: () => findImage(home, "base"),
    },
    {
      path: join(stateFolder(home, "web", "clean"), "state.json"),
      document: saved,
      code: "KVMSEC_STATE_",
      read: () => findState(home, config, "clean"),
    },
    {
      path: join(home.root, "holds", `${manifest.id}.json`),
      document: hold,
      code: undefined,
      read: () => assert.equal(readHolds(home).size, 1),
    },
    {
      path: join(folder, "manifest.json"),
      document: manifest,
      code: "KVMSEC_EVIDENCE_UNREADABLE",
      read: () => readManifest(folder),
    },
    {
      path: join(folder, "manifest.json"),
      document: manifest,
      code: "KVMSEC_EVIDENCE_UNREADABLE",
      read: () => verifyPackage(folder),
    },
  ];
}

test("a state document that is cut short, foreign or misshapen is refused in its own words", async () => {
  using place = new TemporaryFolder();
  const home = openHome({ KVMSEC_HOME: place.path });
  for (const { path, document, code, read } of readers(home)) {
    mkdirSync(dirname(path), { recursive: true });
    await fc.assert(
      fc.asyncProperty(damagedJson(document), async (text) => {
        writeFileSync(path, text);
        try {
          await read();
        } catch (error) {
          assert.ok(error instanceof KvmsecError, `${String(error)} of ${text}`);
          assert.ok(code !== undefined && error.code.startsWith(code), error.code);
          assert.ok(error.hint !== undefined);
        }
      }),
      { numRuns: RUNS },
    );
    writeFileSync(path, JSON.stringify(document));
  }
});

test("a damaged VM takes no other with it", async () => {
  using place = new TemporaryFolder();
  const home = openHome({ KVMSEC_HOME: place.path });
  const self = processIdentity(process.pid)!;
  for (const name of ["good", "torn"]) {
    const paths = vmPaths(home, name);
    mkdirSync(paths.folder);
    writeFileSync(paths.config, JSON.stringify(vmConfig({ name })));
    writeFileSync(paths.run, JSON.stringify({ ...run, ...self }));
    writePacketState(paths, { keepBytes: 1, by: "owner", run: self });
  }
  writeFileSync(vmPaths(home, "torn").config, "{");
  mkdirSync(join(home.images, "base"));
  writeFileSync(join(home.images, "base", "image.json"), "{");
  const told: string[] = [];
  const guests = guestsNow(home, { vms: true, targets: [] }, (name, { code }) =>
    told.push(`${name} ${code}`),
  );
  assert.deepEqual(
    guests.map(({ name, kernelFile }) => [name, kernelFile]),
    [["good", undefined]],
  );
  assert.deepEqual(told.toSorted(), ["good KVMSEC_STATE_DAMAGED", "torn KVMSEC_STATE_DAMAGED"]);
  assert.deepEqual(vmsWithPackets(home), ["good"]);
  assert.throws(() => listVms(home), { code: "KVMSEC_STATE_DAMAGED" });
  const vms = await kvmsec(home.root, "vm", "list");
  assert.equal(vms.status, 4);
  assert.match(vms.stdout, /^good /m);
  assert.match(vms.stderr, /KVMSEC_STATE_DAMAGED: .*torn\/vm\.json cannot be used/);
  const images = await kvmsec(home.root, "image", "list");
  assert.equal(images.status, 4);
  assert.match(images.stderr, /KVMSEC_STATE_DAMAGED: .*base\/image\.json cannot be used/);
});

test("a VM's document lacks nothing, and is that VM's", () => {
  using place = new TemporaryFolder();
  const home = openHome({ KVMSEC_HOME: place.path });
  const { config: path } = vmPaths(home, "web");
  mkdirSync(dirname(path), { recursive: true });
  const refusedAs = (changed: object, message: RegExp): void => {
    writeFileSync(path, JSON.stringify(changed));
    assert.throws(() => findConfig(home, "web"), { code: "KVMSEC_STATE_DAMAGED", message });
  };
  for (const field of Object.keys(config).filter((name) => name !== "packets")) {
    refusedAs(
      changedAt(config, [field], undefined),
      field === "schema" ? /no kvmsec/ : RegExp(field),
    );
  }
  refusedAs({ ...config, name: "mail" }, /the VM mail/);
  refusedAs({ ...config, name: "../mail" }, /name/);
  refusedAs({ ...config, uuid: "../../etc" }, /uuid/);
  refusedAs({ ...config, memoryBytes: -1 }, /memoryBytes/);
  writeFileSync(path, JSON.stringify({ ...config, ofALaterKvmsec: 1 }));
  assert.equal(findConfig(home, "web")?.name, "web");
});

test("a timeline of a package is one, or is refused", async () => {
  using place = new TemporaryFolder();
  const home = openHome({ KVMSEC_HOME: join(place.path, "home") });
  const folder = join(place.path, "package");
  mkdirSync(folder);
  await sealPackage(home, folder, randomUUID(), {});
  const path = join(folder, "timeline.json");
  writeFileSync(path, JSON.stringify(timeline));
  assert.equal((await readTimeline(folder))?.entries.length, 1);
  await fc.assert(
    fc.asyncProperty(damagedJson(timeline), async (text) => {
      writeFileSync(path, text);
      const read = await readTimeline(folder).catch((error: unknown) => {
        assert.equal((error as KvmsecError).code, "KVMSEC_EVIDENCE_UNREADABLE");
      });
      assert.ok(read?.entries.every((entry) => typeof entry.text === "string") ?? true);
    }),
    { numRuns: RUNS },
  );
});

test("a package of anybody's making is revived only out of what lies in it", async () => {
  using place = new TemporaryFolder();
  const home = openHome({ KVMSEC_HOME: join(place.path, "home") });
  writeFileSync(join(place.path, "secret"), "the host's own");
  const facts = { vm: { config, run }, disks: [{ file: "../secret" }] };
  const odd = [
    facts,
    { ...facts, vm: null },
    { ...facts, disks: [] },
    { ...facts, vm: { config: { ...config, memoryBytes: "1" }, run } },
  ];
  for (const [index, seals] of odd.entries()) {
    const folder = join(place.path, `package-${index}`);
    mkdirSync(folder);
    await sealPackage(home, folder, randomUUID(), seals);
    await assert.rejects(revive(home, folder, "again"), { code: "KVMSEC_REVIVE_FOREIGN" });
    assert.deepEqual(listVms(home), []);
  }
});

/** A line of the journal whose hash fits. */
function hashed(entry: object): string {
  const whole = { schema: "kvmsec.journal/1", ...entry };
  const sum = createHash("sha256").update(JSON.stringify(whole)).digest("hex");
  return `${JSON.stringify({ ...whole, hash: sum })}\n`;
}

test("an entry of the journal that says too little is damage, also where its hash fits", () => {
  using place = new TemporaryFolder();
  const home = openHome({ KVMSEC_HOME: place.path });
  const { path } = new Journal(home);
  const target = { text: "web", identity };
  const begin = { action: "freeze", target, worker: identity };
  const first = { sequence: 1, at, kind: "begin", job: "1", data: begin, previous: hash };
  writeFileSync(path, hashed(first));
  assert.equal(pendingJobs(home).length, 1);
  fc.assert(
    fc.property(damagedJson(first), (text) => {
      let line = `${text.replaceAll("\n", "")}\n`;
      try {
        const changed = JSON.parse(text) as unknown;
        if (typeof changed === "object" && changed !== null) line = hashed(changed);
      } catch {
        // It stays what was cut short, or is nested too deeply to be hashed.
      }
      writeFileSync(path, line);
      for (const read of [pendingJobs, (one: Home) => orderedEnd(one, identity)]) {
        try {
          read(home);
        } catch (error) {
          assert.equal((error as KvmsecError).code, "KVMSEC_JOURNAL_DAMAGED", String(error));
        }
      }
      recordedPast(home, identity);
      Store.open(home)[Symbol.dispose]();
    }),
    { numRuns: RUNS },
  );
});
