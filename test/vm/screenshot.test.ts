import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectQmp } from "../../src/qmp/connection.ts";
import { takeScreenshot } from "../../src/response/screenshot.ts";

for (const display of ["std", "none"]) {
  test(`the display of a guest, where it has one: -vga ${display}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "kvmsec-screen-"));
    const socket = join(folder, "qmp");
    const monitor = `unix:${socket},server=on,wait=off`;
    const args = ["-S", "-nodefaults", "-display", "none", "-vga", display, "-qmp", monitor];
    const qemu = spawn("qemu-system-x86_64", args, { stdio: "ignore" });
    t.after(async () => {
      const gone = once(qemu, "exit");
      qemu.kill("SIGKILL");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    });
    while (!existsSync(socket)) await sleep(20);
    using connection = await connectQmp(socket);
    const path = join(folder, "screen.png");
    const { file, reason } = await takeScreenshot(connection, path);
    if (display === "std") {
      assert.equal(file, "screen.png", reason);
      assert.equal(readFileSync(path).subarray(1, 4).toString(), "PNG");
    } else {
      assert.equal(file, null);
      assert.ok((reason ?? "").length > 0);
      assert.equal(existsSync(path), false);
    }
  });
}
