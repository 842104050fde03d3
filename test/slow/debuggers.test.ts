import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { inspect } from "../../src/daemon/inspect.ts";
import { capture } from "../../src/response/capture.ts";
import { openHome } from "../../src/vm/home.ts";
import { cacheDirectory } from "../vm/harness/cache.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";

/** The kernel with its debugging information, out of the distribution's package for it. */
function debugKernel(version: string): string {
  const place = join(cacheDirectory("debug"), `vmlinux-${version}`);
  if (existsSync(place)) return place;
  const work = mkdtempSync(join(cacheDirectory("debug"), "new-"));
  try {
    execFileSync("apt-get", ["download", `linux-image-${version}-dbg`], { cwd: work });
    const [archive] = readdirSync(work);
    const tar = execFileSync("sh", [
      "-c",
      'dpkg --fsys-tarfile "$1" | tar -C "$2" -x --wildcards "*/boot/vmlinux-*"',
      "sh",
      join(work, archive ?? ""),
      work,
    ]);
    assert.equal(tar.length, 0);
    renameSync(join(work, "usr/lib/debug/boot", `vmlinux-${version}`), place);
    return place;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const DRGN = `
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    print(task.pid.value_(), task.comm.string_().decode())
`;

// Both need what Debian packs beside its kernels: apt-get install python3-drgn crash
async function debug(t: TestContext, cpu: string): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-debuggers-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
  const vmlinux = debugKernel(kernel.version);
  await using guest = await bootTiny({ kernel, cpu, cpus: 2 });
  const folder = join(root, "case");
  await capture(openHome({ KVMSEC_HOME: join(root, "home") }), `pid:${guest.pid}`, folder, {
    inspect,
  });
  const { processes } = JSON.parse(readFileSync(join(folder, "views/ps.json"), "utf8")) as {
    processes: { pid: number; comm: string; kthread: boolean; threads: number }[];
  };
  const told = processes.map(({ pid, comm }) => `${pid} ${comm}`);
  assert.ok(told.includes("2 kthreadd"));
  const core = join(folder, "memory.elf");

  await t.test("drgn", () => {
    const script = join(root, "tasks.py");
    writeFileSync(script, DRGN);
    const said = execFileSync("drgn", ["-q", "-c", core, "-s", vmlinux, script], {
      encoding: "utf8",
    });
    assert.deepEqual(new Set(said.trim().split("\n")), new Set(told));
  });

  // crash 8.0.2 lists the idle tasks only of this kernel, in QEMU's own dumps too.
  await t.test("crash", () => {
    const input = "sys\np init_task.comm\nquit\n";
    const said = execFileSync("crash", ["-s", vmlinux, core], { encoding: "utf8", input });
    assert.match(said, new RegExp(`RELEASE: ${kernel.version}`));
    assert.match(said, /CPUS: 2\n/);
    assert.match(said, /swapper\/0/);
  });
}

test("drgn and crash open a captured core, and read what the package tells of", async (t) => {
  await t.test("with four levels of tables", (inner) => debug(inner, "max,la57=off"));
  await t.test("with five levels of tables", (inner) => debug(inner, "max"));
});
