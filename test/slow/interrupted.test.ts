import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Check } from "../../src/checks/check.ts";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { filesOf, inspect } from "../../src/daemon/inspect.ts";
import { verifyPackage } from "../../src/evidence/verify.ts";
import type { Kernel } from "../../src/linux/kernel.ts";
import { connectQmp } from "../../src/qmp/connection.ts";
import type { QmpConnection } from "../../src/qmp/connection.ts";
import { capture } from "../../src/response/capture.ts";
import { pendingJobs } from "../../src/response/job.ts";
import { Journal } from "../../src/response/journal.ts";
import { attach } from "../../src/vm/guest.ts";
import { openHome } from "../../src/vm/home.ts";
import type { Home } from "../../src/vm/home.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest, GuestOptions } from "../vm/harness/guest.ts";

/** So much of the RAM cannot be packed: the copy behind the running guest takes its time. */
const FILL_MIB = 96;
const MARK = "sleep 86401";

/** A guest at which another operator sits too, with two monitors that kvmsec leaves alone. */
class Scene implements AsyncDisposable {
  readonly root: string;
  readonly home: Home;
  readonly guest: Guest;
  readonly other: QmpConnection;
  #cases = 0;

  private constructor(root: string, guest: Guest, other: QmpConnection) {
    this.root = root;
    this.home = openHome({ KVMSEC_HOME: join(root, "home") });
    this.guest = guest;
    this.other = other;
  }

  static async open(options: Omit<GuestOptions, "kernel">): Promise<Scene> {
    const root = mkdtempSync(join(tmpdir(), "kvmsec-interrupted-"));
    mkdirSync(join(root, "evidence"));
    const qemu = ["other", "spare"].flatMap((name) => [
      "-qmp",
      `unix:${join(root, name)},server=on,wait=off`,
    ]);
    const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
    // At the same place again after a reboot, which is the hardest to tell.
    const guest = await bootTiny({ kernel, memory: "256M", append: "nokaslr", qemu, ...options });
    return new Scene(root, guest, await connectQmp(join(root, "other")));
  }

  /** What a capture that is interrupted at QEMU's next such event left, or the code of why not. */
  async capture(moment: "STOP" | "RESUME", act: () => unknown): Promise<string> {
    const acted = Promise.withResolvers<unknown>();
    using _ = this.other.on(moment, () => acted.resolve(act()));
    const folder = join(this.root, "evidence", `case-${this.#cases++}`);
    const told = await capture(this.home, `pid:${this.guest.pid}`, folder, { inspect }).then(
      ({ verdict }) => verdict,
      (error: { code?: string; message: string }) => error.code ?? error.message,
    );
    await acted.promise;
    return told;
  }

  /** What a sweep finds in the middle of which the guest's world changes, or the code of why nothing. */
  async sweep(act: (kernel: Kernel) => void): Promise<string> {
    using attached = await attach(`pid:${this.guest.pid}`);
    const middle: Check = {
      ...checks[0]!,
      id: "interruption",
      run: ({ kernel }) => {
        act(kernel);
        acted = true;
        kernel.refresh();
      },
    };
    let acted = false;
    const half = checks.length / 2;
    const order = [checks.slice(0, half), middle, checks.slice(half), checks.slice(0, half)];
    const files = filesOf(attached, this.guest.options.kernel.vmlinuz);
    const { findings } = sweep(attached.kernel, order.flat(), files);
    assert.ok(acted);
    try {
      attached.requireAlive();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return findings.map(({ title }) => title).join("\n");
  }

  /** A command of the other operator's, in the middle of what waits for nothing. Returns the answer. */
  now(command: string, args: object = {}): string {
    const words = [SPEAK, join(this.root, "spare"), command, JSON.stringify(args)];
    return execFileSync(process.execPath, ["-e", ...words], { timeout: 60_000 }).toString();
  }

  migration(file: string): { uri: string } {
    return { uri: `exec:cat > ${join(this.root, file)}` };
  }

  async until(status: string): Promise<void> {
    while ((await this.other.execute("query-status")).status !== status) await sleep(20);
  }

  /** The last package is whole and of the moment of the stop, and nothing else is left. */
  async mustBeWhole(verdict: string, count: number): Promise<void> {
    const folder = join(this.root, "evidence");
    const names = readdirSync(folder);
    assert.equal(names.length, count, names.join());
    const last = join(folder, names.toSorted().at(-1)!);
    assert.deepEqual((await verifyPackage(last)).faults, []);
    assert.match(readFileSync(join(last, "views", "ps.json"), "utf8"), new RegExp(MARK));
    this.mustBeSettled(verdict === "clean" ? "done" : "failed");
  }

  mustBeSettled(result: "done" | "failed"): void {
    assert.deepEqual(pendingJobs(this.home), []);
    assert.equal(new Journal(this.home).read().at(-1)?.data["result"], result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.other.close();
    await this.guest[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** One command to a monitor; a QEMU that ends says nothing any more. */
const SPEAK = `
  const socket = require("node:net").connect(process.argv[1]);
  const send = (execute, args) => socket.write(JSON.stringify({ execute, arguments: args }));
  send("qmp_capabilities", {});
  send(process.argv[2], JSON.parse(process.argv[3]));
  let answers = 0;
  require("node:readline").createInterface({ input: socket }).on("line", (line) => {
    if (line.includes('"error"')) throw new Error(line);
    if (!line.startsWith('{"return"') || ++answers < 2) return;
    console.log(line);
    process.exit();
  });
  socket.on("error", () => process.exit()).on("close", () => process.exit());`;

function wait(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

const ticks = (kernel: Kernel): bigint => kernel.space.u64(kernel.symbol("jiffies_64")) ?? 0n;
const stage = (kernel: Kernel): number => kernel.space.u32(kernel.symbol("system_state"));

test("a guest that reboots, migrates or is saved in the middle of a sweep or a capture", async (t) => {
  await using scene = await Scene.open({ reboot: true });
  const { guest, other } = scene;
  const prepare = async (): Promise<void> => {
    await guest.run(`dd if=/dev/urandom of=/tmp/fill bs=1M count=${FILL_MIB} 2>/dev/null`);
    await guest.run(`setsid ${MARK} > /dev/null 2>&1 < /dev/null &`);
  };
  await sweeps(t, scene);
  await prepare();
  let packages = 0;

  await t.test("reset while it is copied behind: the package is of the moment before", async () => {
    const back = guest.nextBoot();
    const told = await scene.capture("RESUME", () => other.execute("system_reset"));
    assert.equal(told, "clean");
    await scene.mustBeWhole(told, ++packages);
    await back;
    await prepare();
  });

  await t.test("reset while it stands still: no package of two moments", async () => {
    const back = guest.nextBoot();
    const told = await scene.capture("STOP", () => other.execute("system_reset"));
    assert.match(told, /^(KVMSEC_GUEST_DISTURBED|clean)$/);
    if (told === "clean") packages++;
    await scene.mustBeWhole(told, packages);
    await back;
    await prepare();
  });

  await t.test("let run on by another while it is copied: no package", async () => {
    // Between the stop and the end of our own migration QEMU itself refuses it.
    const told = await scene.capture("STOP", () => other.execute("cont").catch(() => {}));
    assert.match(told, /^(KVMSEC_GUEST_DISTURBED|clean)$/);
    if (told === "clean") packages++;
    await scene.mustBeWhole(told, packages);
    await scene.until("running");
  });

  await t.test("it migrates already: it is left alone, and its migration too", async () => {
    await other.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 20 });
    await other.execute("migrate", scene.migration("moved"));
    const folder = join(scene.root, "evidence", "refused");
    await assert.rejects(capture(scene.home, `pid:${guest.pid}`, folder, { inspect }), {
      code: "KVMSEC_GUEST_MIGRATING",
    });
    assert.equal((await other.execute("query-status")).running, true);
    assert.equal((await other.execute("query-migrate")).status, "active");
    await other.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 33 });
    await scene.until("postmigrate");
    await scene.mustBeWhole("refused", packages);
    await other.execute("cont");
  });

  await t.test("it begins to migrate while it is copied behind: both are whole", async () => {
    const told = await scene.capture("RESUME", () =>
      other.execute("migrate", scene.migration("moved")),
    );
    assert.equal(told, "clean");
    await scene.mustBeWhole(told, ++packages);
    await scene.until("postmigrate");
    const settings = await other.execute("query-migrate-capabilities");
    assert.deepEqual(
      settings.filter(({ capability, state }) => state && /shared|events/.test(capability)),
      [],
    );
    assert.ok(statSync(join(scene.root, "moved")).size > FILL_MIB * 2 ** 20, "its RAM went along");
    await other.execute("cont");
  });

  await t.test("it is saved and stopped while it is copied behind: both are whole", async () => {
    const told = await scene.capture("RESUME", async () => {
      await other.execute("stop");
      await other.execute("migrate", scene.migration("saved"));
    });
    assert.equal(told, "clean");
    await scene.mustBeWhole(told, ++packages);
    await scene.until("postmigrate");
    assert.ok(statSync(join(scene.root, "saved")).size > FILL_MIB * 2 ** 20);
    await other.execute("cont");
  });

  await t.test("it quits while it is copied behind: its last moment is kept whole", async () => {
    const told = await scene.capture("RESUME", () => other.execute("quit").catch(() => {}));
    // The file that its kernel was booted from was found through its QEMU.
    assert.match(told, /^(clean|unsure)$/);
    await scene.mustBeWhole("clean", ++packages);
    await guest.ended();
  });
});

async function sweeps(t: TestContext, scene: Scene): Promise<void> {
  const { guest, other } = scene;
  for (const pause of [500, Number.POSITIVE_INFINITY]) {
    await t.test(`reset, ${pause} ms before the sweep goes on: nothing is found`, async () => {
      const back = guest.nextBoot();
      const told = await scene.sweep((kernel) => {
        const running = stage(kernel);
        let last = ticks(kernel);
        let began = false;
        scene.now("system_reset");
        // Its clock began anew, and it has come as far as it was.
        const another = (): boolean => {
          kernel.refresh();
          began ||= ticks(kernel) < last;
          last = ticks(kernel);
          return began && stage(kernel) === running;
        };
        if (Number.isFinite(pause)) wait(pause);
        else while (!another()) wait(10);
      });
      // Half a second may not take it so far that there is anything to see.
      if (told !== "" || pause > 500) assert.equal(told, "KVMSEC_KERNEL_GONE");
      await back;
    });
  }

  for (const how of ["moved", "saved"]) {
    await t.test(`${how} in the middle of a sweep: it is seen as it was last`, async () => {
      const told = await scene.sweep(() => {
        if (how === "saved") scene.now("stop");
        scene.now("migrate", scene.migration(how));
        while (!scene.now("query-status").includes("postmigrate")) wait(20);
      });
      assert.equal(told, "");
      await other.execute("cont");
      assert.equal(await scene.sweep(() => {}), "");
    });
  }
}

test("a guest that quits in the middle of a capture's stop, and of a sweep", async () => {
  await using scene = await Scene.open({ ram: "anonymous" });
  let swept = "";
  const told = await scene.capture("STOP", async () => {
    swept = await scene.sweep(() => scene.now("quit"));
  });
  assert.equal(swept, "KVMSEC_TARGET_GONE");
  // The sweep may take longer than the capture, of the same process, waits for an answer.
  assert.match(told, /^KVMSEC_(QMP_(CLOSED|TIMEOUT)|TARGET_GONE)$/);
  assert.deepEqual(readdirSync(join(scene.root, "evidence")), []);
  scene.mustBeSettled("failed");
  await scene.guest.ended();
});
