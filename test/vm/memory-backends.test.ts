import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { PhysicalMemory } from "../../src/memory/physical-memory.ts";
import { copyPieces } from "../../src/linux/file-copy.ts";
import { PageCache } from "../../src/linux/page-cache.ts";
import { ps } from "../../src/views/index.ts";
import { findCachedFile } from "../../src/views/pagecache.ts";
import { inspect } from "../../src/daemon/inspect.ts";
import { capture } from "../../src/response/capture.ts";
import { attach } from "../../src/vm/guest.ts";
import { watchability } from "../../src/vm/watchability.ts";
import { openHome } from "../../src/vm/home.ts";
import { locateParts, locateRam } from "../../src/vm/ram-location.ts";
import { qemuProcess } from "../../src/vm/qemu-process.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";

const MIB = 2 ** 20;
const STEP = 32 * MIB;

const memfd = (id: string, size: number): string =>
  JSON.stringify({ "qom-type": "memory-backend-memfd", id, size, share: true });
const nodes = ["-numa", "node,nodeid=0,cpus=0,memdev=ram0", "-numa", "node,nodeid=1,memdev=ram1"];

/** RAM in two NUMA nodes and a module, named as libvirt does and by hand. */
const shapes = [
  {
    name: "files only",
    kind: "memfd",
    qemu: [
      ["-object", memfd("ram0", 256 * MIB), "-object", memfd("ram1", 256 * MIB), ...nodes],
      ["-object", "memory-backend-memfd,id=dimm0,size=256M"],
      ["-device", JSON.stringify({ driver: "pc-dimm", memdev: "dimm0", id: "first", node: 1 })],
    ],
  },
  {
    name: "private to QEMU, in part",
    kind: "anonymous",
    qemu: [
      ["-object", "memory-backend-ram,id=ram0,size=256M"],
      ["-object", "memory-backend-ram,id=ram1,size=256M", ...nodes],
      ["-object", "memory-backend-memfd,id=dimm0,size=256M"],
      ["-device", "pc-dimm,memdev=dimm0,id=first,node=1"],
    ],
  },
];

/** Each byte of RAM is the one that QEMU itself saves. */
async function assertSameAsQemu(guest: Guest, memory: PhysicalMemory): Promise<void> {
  using folder = new TemporaryFolder();
  const path = join(folder.path, "saved");
  for (const { start, size } of memory.ranges) {
    for (let at = start; at < start + size; at += STEP) {
      const length = Math.min(STEP, start + size - at);
      await guest.qmp("pmemsave", { val: at, size: length, filename: path });
      const expected = readFileSync(path);
      const ours = memory.bytes(at, length);
      assert.ok(ours !== undefined, `0x${at.toString(16)} is read`);
      // What the firmware shadows below 1 MiB is its ROM to the guest.
      const from = at === 0 ? MIB : 0;
      assert.ok(expected.subarray(from).equals(ours.subarray(from)), `0x${at.toString(16)}`);
    }
  }
  rmSync(path);
}

async function assertMemory(guest: Guest): Promise<void> {
  await guest.qmp("stop");
  using attached = await attach(`pid:${guest.pid}`);
  await assertSameAsQemu(guest, attached.memory);
  await guest.qmp("cont");
  assert.equal(attached.kernel.identity.release, guest.options.kernel.version);
  const own = await guest.run("cat /proc/sys/kernel/random/boot_id; ls -d /proc/[0-9]*");
  const pids = [...own.matchAll(/^\/proc\/(\d+)$/gm)].map(([, pid]) => Number(pid));
  attached.kernel.refresh();
  const seen = new Set([...ps.read(attached.kernel, {}, assert.fail)].map(({ pid }) => pid));
  // The shell that listed them has gone.
  assert.ok(pids.filter((pid) => !seen.has(pid)).length <= 2);
}

/** A file whose pages lie in both nodes, and in modules first. */
async function spread(guest: Guest, folder: string): Promise<string> {
  const path = `${folder}/file`;
  await guest.run(`mkdir ${folder}; mount -t tmpfs -o mpol=interleave:0-1 spread ${folder}
    yes ${path} | head -c ${24 * MIB} > ${path}`);
  return path;
}

/** It comes out with the guest's own checksum. */
async function assertSpread(guest: Guest, path: string, target = `pid:${guest.pid}`) {
  const expected = (await guest.run(`sha256sum ${path}`)).split(" ")[0];
  using attached = await attach(target);
  const { kernel: found } = attached;
  const file = findCachedFile(found, path, assert.fail);
  const digest = createHash("sha256");
  const pieces = new PageCache(found).pieces(file.address, found.budget(), assert.fail);
  assert.ok(copyPieces(pieces, (_, bytes) => digest.update(bytes)).complete);
  assert.equal(digest.digest("hex"), expected);
}

/** Takes the guest into a package; returns how, and the core in it. */
async function captured(guest: Guest, folder: string): Promise<{ method: unknown; core: string }> {
  const home = openHome({ KVMSEC_HOME: join(folder, "home") });
  const place = join(folder, "case");
  const { manifest } = await capture(home, `pid:${guest.pid}`, place, { inspect });
  return { method: manifest.facts["method"], core: `file:${join(place, "memory.elf")}` };
}

for (const { name, kind, qemu } of shapes) {
  test(`RAM in NUMA nodes and modules: ${name}`, async (t) => {
    await using guest = await bootTiny({
      kernel: await kernel({ release: "trixie", flavour: "cloud" }),
      ram: "anonymous",
      memory: "512M,slots=4,maxmem=4G",
      cpus: 2,
      append: "memhp_default_state=online_movable",
      qemu: qemu.flat(),
    });
    const running = qemuProcess(guest.pid) ?? assert.fail("it runs");

    await t.test("each part is where QEMU has it, without asking QEMU", async () => {
      for (const { hostAddress, blocks } of locateParts(running)) {
        const told = await guest.hmp(`gpa2hva ${blocks[0].start}`);
        const host = BigInt(/ is (0x[0-9a-f]+)/.exec(told)?.[1] ?? -1);
        assert.equal(hostAddress + BigInt(blocks[0].offset), host, told);
      }
      const { ram, reading } = watchability(running);
      assert.deepEqual([ram, reading], [kind, kind === "memfd" ? "mapped" : "copied"]);
      assert.throws(() => locateRam(running), { code: "KVMSEC_RAM_IN_PARTS" });
    });
    const path = await spread(guest, "/spread");
    await t.test("what lies in both nodes and the module is whole", () =>
      assertSpread(guest, path),
    );
    await t.test("all of it is captured while the guest runs on", async () => {
      using folder = new TemporaryFolder();
      const { method, core } = await captured(guest, folder.path);
      // Where part of it is private to QEMU, the guest waits for the copy.
      assert.equal(method, kind === "memfd" ? "copy-behind" : "stop-copy-cont");
      await assertSpread(guest, path, core);
    });
    await t.test("memory that is plugged in while the guest runs is read too", async () => {
      await guest.qmp("object-add", {
        "qom-type": "memory-backend-ram",
        id: "later",
        size: 256 * MIB,
      });
      await guest.qmp("device_add", { driver: "pc-dimm", id: "second", memdev: "later", node: 1 });
      await guest.run(
        "until [ $(grep MemTotal /proc/meminfo | tr -dc 0-9) -gt 900000 ]; do sleep 0.2; done",
      );
      await assertSpread(guest, await spread(guest, "/later"));
    });
    await t.test("every byte is the one that QEMU reads", () => assertMemory(guest));
    await t.test("every byte of a captured guest is the one that QEMU reads", async () => {
      using folder = new TemporaryFolder();
      await guest.qmp("stop");
      const { core } = await captured(guest, folder.path);
      using attached = await attach(core);
      await assertSameAsQemu(guest, attached.memory);
    });
  });
}
