import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ps } from "../../src/views/index.ts";
import { attach } from "../../src/vm/guest.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { command } from "../vm/harness/command.ts";
import { kernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";

const SETTING = "/proc/sys/vm/nr_hugepages";
/** Of 2 MiB: enough for a guest of 256 MiB. */
const PAGES = 140;
const MIB = 2 ** 20;

function figure(name: string): number {
  const text = readFileSync("/proc/meminfo", "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
}

/** Huge pages for a while, or why there are none. */
function hugePages(): Disposable | string {
  const before = readFileSync(SETTING, "utf8").trim();
  const restore = (): void => writeFileSync(SETTING, before);
  try {
    writeFileSync(SETTING, String(Number(before) + PAGES));
  } catch {
    return "only root may set huge pages aside";
  }
  if (figure("HugePages_Free") >= PAGES) return { [Symbol.dispose]: restore };
  restore();
  return "this machine has no room for huge pages";
}

test("RAM of huge pages is read, and none is taken", async (t) => {
  const pages = hugePages();
  if (typeof pages === "string") return t.skip(pages);
  using held = new DisposableStack();
  held.use(pages);
  const folder = held.use(new TemporaryFolder());
  const mount = join(folder.path, "huge");
  mkdirSync(mount);
  await command("mount", ["-t", "hugetlbfs", "none", mount]);
  try {
    const backends = {
      "memory-backend-memfd": "memory-backend-memfd,id=ram0,size=256M,share=on,hugetlb=on",
      "memory-backend-file in a folder": `memory-backend-file,id=ram0,size=256M,share=on,mem-path=${mount}`,
      "memory-backend-file, private": `memory-backend-file,id=ram0,size=256M,share=off,mem-path=${mount}`,
    };
    for (const [name, object] of Object.entries(backends)) {
      await t.test(name, async () => {
        await using guest = await bootTiny({
          kernel: await kernel({ release: "bookworm", flavour: "cloud" }),
          ram: "anonymous",
          memory: "256M",
          qemu: ["-object", object, "-machine", "memory-backend=ram0"],
        });
        await guest.qmp("stop");
        const free = figure("HugePages_Free");
        assert.ok(free < PAGES && free > 0, `${free} huge pages are free`);
        using attached = await attach(`pid:${guest.pid}`, { noCache: true });
        assert.equal(attached.kernel.identity.release, guest.options.kernel.version);
        assert.ok([...ps.read(attached.kernel, {}, assert.fail)].length > 20);
        // A private page that is missing belongs to QEMU, and only reading through QEMU shows it.
        if (!name.includes("private")) assert.equal(figure("HugePages_Free"), free);
        const path = join(folder.path, "saved");
        await guest.qmp("pmemsave", { val: MIB, size: 255 * MIB, filename: path });
        assert.ok(readFileSync(path).equals(attached.memory.bytes(MIB, 255 * MIB) ?? Buffer.of()));
      });
    }
  } finally {
    await command("umount", [mount]);
    rmdirSync(mount);
  }
});
