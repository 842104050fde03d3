import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { kvmsec } from "./command-line.ts";
import { searchPath } from "./harness/command.ts";
import { kernel } from "./harness/debian-kernel.ts";

const MIB = 2 ** 20;
const UUID = "6f2f1c4e-3b0a-4c55-9d7e-0123456789ab";

/** As libvirt 9 starts a domain: JSON, descriptors instead of paths, so that nobody reaches its QMP. */
function domainArguments(vmlinuz: string, serial: string): string[] {
  const ram = { "qom-type": "memory-backend-ram", id: "pc.ram", size: 256 * MIB };
  return [
    ["-name", "guest=web one,debug-threads=on", "-uuid", UUID],
    ["-machine", "pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram", "-accel", "tcg"],
    ["-cpu", "max,cx16=off", "-m", `size=${256 * 1024}k`, "-object", JSON.stringify(ram)],
    ["-no-user-config", "-nodefaults", "-display", "none", "-serial", `file:${serial}`],
    ["-kernel", vmlinuz, "-append", "console=ttyS0 panic=0"],
  ].flat();
}

test("a domain of libvirt, whose QMP is libvirt's own", async () => {
  using folder = new TemporaryFolder();
  const serial = join(folder.path, "serial");
  const { vmlinuz, version } = await kernel({ release: "bookworm", flavour: "cloud" });
  const args = domainArguments(vmlinuz, serial);
  const words = ["--pdeathsig", "KILL", "qemu-system-x86_64", ...args];
  const env = { ...process.env, PATH: searchPath() };
  const qemu = spawn("setpriv", words, { stdio: "ignore", env });
  const ended = once(qemu, "exit");
  try {
    // Without a root filesystem it goes as far as that.
    const panicked = (): boolean =>
      existsSync(serial) && /Kernel panic - not syncing/.test(readFileSync(serial, "latin1"));
    for (let tries = 0; tries < 1200 && !panicked(); tries++) await sleep(100);
    assert.ok(panicked());
    for (const target of [`libvirt:${UUID}`, `libvirt:${UUID.toUpperCase()}`, "libvirt:web one"]) {
      const { stdout, stderr, status } = await kvmsec(folder.path, "info", "--json", target);
      assert.equal(status, 0, stderr);
      const info = JSON.parse(stdout) as { kernel: { release: string }; memory: { kind: string } };
      assert.deepEqual([info.kernel.release, info.memory.kind], [version, "anonymous"]);
    }
    const listed = await kvmsec(folder.path, "ps", `libvirt:${UUID}`);
    assert.match(listed.stdout, /kthreadd/);
    const other = `libvirt:${UUID.replace("6f", "70")}`;
    const { status, stderr } = await kvmsec(folder.path, "info", other);
    assert.equal(status, 3);
    assert.match(stderr, /^kvmsec: KVMSEC_TARGET_UNKNOWN: No running libvirt domain/);
  } finally {
    qemu.kill("SIGKILL");
    await ended;
  }
});
