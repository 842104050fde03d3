import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { kernel } from "./debian-kernel.ts";
import { bootTiny } from "./guest.ts";
import { aliveFile } from "./guest-home.ts";

const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });

test("a guest that panics says so", async () => {
  await using guest = await bootTiny({ kernel: bookworm });
  const crash = guest.run("echo c > /proc/sysrq-trigger");
  await assert.rejects(crash, /Kernel panic - not syncing: sysrq triggered crash/);
  await assert.rejects(guest.run("true"), /closed the link/);
  await guest.ended();
});

test("a guest that never speaks is given up, with its console", async () => {
  const hung = bootTiny({ kernel: bookworm, append: "rdinit=/usr/bin/cat", bootTimeout: 6000 });
  await assert.rejects(hung, /nothing heard from the guest for 6000 ms[^]*last lines/);
});

test("what QEMU complains about is passed on", async () => {
  const wrong = bootTiny({ kernel: bookworm, cpu: "no-such-cpu" });
  await assert.rejects(wrong, /unable to find CPU model 'no-such-cpu'/);
});

test("disposing ends QEMU and removes its files", async () => {
  const guest = await bootTiny({ kernel: bookworm, ram: "file" });
  const { pid, paths } = guest;
  assert.ok(runs(pid) && existsSync(paths.ram));
  await guest[Symbol.asyncDispose]();
  assert.deepEqual([runs(pid), existsSync(paths.home)], [false, false]);
});

test("a killed test process takes its guests with it", async () => {
  const script = `
    const { kernel } = await import(${JSON.stringify(join(import.meta.dirname, "debian-kernel.ts"))});
    const { bootTiny } = await import(${JSON.stringify(join(import.meta.dirname, "guest.ts"))});
    const guest = await bootTiny({ kernel: await kernel({ release: "bookworm", flavour: "cloud" }) });
    console.log(guest.pid, guest.paths.home);
    setInterval(() => {}, 1000);`;
  const args = ["--conditions=kvmsec-source", "--input-type=module", "--eval", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [pid, home] = line.toString().trim().split(" ");
  assert.ok(runs(Number(pid)));
  child.kill("SIGKILL");
  await once(child, "exit");
  while (runs(Number(pid))) await sleep(20);

  utimesSync(aliveFile(home), 0, 0); // a minute passes
  await using next = await bootTiny({ kernel: bookworm });
  assert.equal(await next.run("echo fine"), "fine\n");
  assert.equal(existsSync(home), false, "the next guest clears up");
});

/** Whether any of its threads does: the first may be a zombie while others still hold files. */
function runs(pid: number): boolean {
  const threads = `/proc/${pid}/task`;
  try {
    return readdirSync(threads).some((thread) => !/\) [ZX] |^$/.test(stat(threads, thread)));
  } catch {
    return false;
  }
}

/** Empty if it went between the two looks. */
function stat(threads: string, thread: string): string {
  try {
    return readFileSync(`${threads}/${thread}/stat`, "utf8");
  } catch {
    return "";
  }
}
