import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { KvmsecError } from "../../src/base/errors.ts";
import { attach } from "../../src/vm/guest.ts";
import { randomNumbers } from "../fixtures/sparse-ram.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { vmConfig } from "../fixtures/vm-config.ts";
import { kvmsec, startKvmsec } from "./command-line.ts";
import type { CommandResult } from "./command-line.ts";
import { bareMachine } from "./harness/bare-machine.ts";
import { command } from "./harness/command.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";

/** An error as people are to see it: its code, a sentence, a hint, and never a stack trace. */
function assertRefused(result: CommandResult, status: number, code: string | RegExp): void {
  const told = `${result.stderr}\n${result.stdout}`;
  const shown = /^kvmsec: (KVMSEC_\w+): \S/m.exec(result.stderr)?.[1] ?? told;
  if (typeof code === "string") assert.equal(shown, code, told);
  else assert.match(shown, code, told);
  assert.equal(result.status, status, told);
  assert.match(result.stderr, /^(\s+|\()\S/m, "a hint");
  assert.doesNotMatch(told, /^\s+at .+:\d+:\d+\)?$/m, "no stack trace");
  assert.equal(result.stdout, "");
}

const FOLLOWED_MS = 120_000;

/** A command that follows a guest: what it says in the end, once `act` was done after two lines. */
async function follow(
  home: string,
  args: readonly string[],
  act: () => unknown,
): Promise<CommandResult> {
  const child = startKvmsec(home, args);
  child.stdin.end();
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close") as Promise<[number | null]>;
  // Whoever follows what is no more must not do so for ever.
  const watchdog = setTimeout(() => child.kill("SIGKILL"), FOLLOWED_MS);
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    assert.equal((JSON.parse(line) as { schema: string }).schema, "kvmsec.ps/1");
    if (++lines === 2) await act();
  }
  clearTimeout(watchdog);
  const [status] = await closed;
  assert.ok(lines >= 2, stderr);
  return { status: status ?? 128, stdout: "", stderr };
}

test("targets that are none", async (t) => {
  using folder = new TemporaryFolder();
  const home = folder.path;
  const next = randomNumbers(7);
  const noise = Uint8Array.from({ length: 100_000 }, () => next() & 0xff);
  const png = Buffer.concat([Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"), noise]);
  const cases: readonly (readonly [string, string, number, string | RegExp])[] = [
    ["a process that is no QEMU", `pid:${process.pid}`, 3, "KVMSEC_TARGET_NOT_QEMU"],
    ["a process that is dead", "pid:4194303", 3, "KVMSEC_TARGET_NOT_QEMU"],
    ["a word for a process id", "pid:abc", 2, "KVMSEC_TARGET_UNKNOWN"],
    ["an unknown name", "no-such-guest", 3, "KVMSEC_TARGET_UNKNOWN"],
    ["an unknown socket", "qmp:/nowhere", 3, "KVMSEC_TARGET_UNKNOWN"],
    ["no file", `file:${home}/none`, 3, "KVMSEC_DUMP_MISSING"],
    ["a folder", `file:${home}`, 3, "KVMSEC_DUMP_NOT_A_FILE"],
    ["an empty file", `file:${folder.file("empty", "")}`, 3, "KVMSEC_DUMP_EMPTY"],
    ["a program", `file:${process.execPath}`, 3, "KVMSEC_DUMP_FOREIGN"],
    ["a picture", `file:${folder.file("picture", png)}`, 3, "KVMSEC_DUMP_FOREIGN"],
    // Anything may be a raw image; in this one is nothing.
    ["noise", `file:${folder.file("noise", noise)}`, 3, /^KVMSEC_(KERNEL_NOT_FOUND|DUMP_\w+)$/],
  ];
  for (const [name, target, status, code] of cases) {
    await t.test(name, async () => assertRefused(await kvmsec(home, "ps", target), status, code));
  }
  await t.test("a word that is no command", async () =>
    assertRefused(await kvmsec(home, "psps", "pid:1"), 2, "KVMSEC_USAGE"),
  );
  await t.test("a size that is none", async () =>
    assertRefused(
      await kvmsec(home, "ps", "--low-size", "big", `file:${home}/none`),
      2,
      "KVMSEC_SIZE_INVALID",
    ),
  );
});

test("machines without a system", async (t) => {
  using folder = new TemporaryFolder();
  const home = folder.path;
  const uuid = randomUUID();
  await using asleep = await bareMachine("kvmsec-twin", ["-S", "-uuid", uuid]);
  await using firmware = await bareMachine("kvmsec-twin");
  const refusedAsEmpty = async (target: string, ...options: string[]): Promise<void> =>
    assertRefused(await kvmsec(home, "ps", ...options, target), 3, "KVMSEC_KERNEL_NOT_FOUND");

  await t.test("one that never ran", () => refusedAsEmpty(`pid:${asleep.pid}`));
  await t.test("one in its firmware", () => refusedAsEmpty(`pid:${firmware.pid}`));
  await t.test("a dump of that one, whole, raw and cut off", async () => {
    const path = join(home, "firmware.elf");
    await firmware.monitor.execute("dump-guest-memory", {
      paging: false,
      protocol: `file:${path}`,
    });
    await refusedAsEmpty(`file:${path}`);
    const fd = openSync(path, "r+");
    ftruncateSync(fd, Math.floor(statSync(path).size / 2));
    closeSync(fd);
    assertRefused(await kvmsec(home, "ps", `file:${path}`), 3, "KVMSEC_DUMP_TRUNCATED");
    await refusedAsEmpty(`file:${path}`, "--salvage");
  });
  await t.test("options of dumps for a guest that runs", async () =>
    assertRefused(
      await kvmsec(home, "ps", "--salvage", `pid:${firmware.pid}`),
      2,
      "KVMSEC_DUMP_OPTIONS",
    ),
  );
  await t.test("two of the same name", async () =>
    assertRefused(await kvmsec(home, "ps", "kvmsec-twin"), 2, "KVMSEC_TARGET_AMBIGUOUS"),
  );
  await t.test("two of the same name, one of them of one's own home", async () => {
    const vm = join(home, "vms", "kvmsec-twin");
    mkdirSync(vm, { recursive: true });
    const config = vmConfig({ name: "kvmsec-twin", uuid });
    writeFileSync(join(vm, "vm.json"), JSON.stringify(config));
    writeFileSync(join(vm, "qemu.pid"), `${asleep.pid}\n`);
    await refusedAsEmpty("kvmsec-twin");
  });
  await t.test("another user's", (context) => asNobody(context, home, firmware.pid));
});

/** Runs the command as a user who may not look into others' processes. */
async function asNobody(t: TestContext, home: string, pid: number): Promise<void> {
  if (process.getuid?.() !== 0) return t.skip("only root can become another user");
  chmodSync(home, 0o777);
  const program = fileURLToPath(new URL("../../bin/kvmsec.js", import.meta.url));
  const words = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const shell = `KVMSEC_HOME=${home}/nobody setpriv ${words.join(" ")} ${process.execPath} ${program} ps pid:${pid} 2>&1; echo "status $?"`;
  const told = await command("sh", ["-c", shell]);
  assert.match(told, /^kvmsec: KVMSEC_TARGET_FORBIDDEN: /m);
  assert.match(told, /^ {2}Run kvmsec as root or as the user who runs that QEMU/m);
  assert.match(told, /^status 3$/m);
}

test("a guest that boots, is followed, and goes", async (t) => {
  using folder = new TemporaryFolder();
  const home = folder.path;
  const image = await kernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: image, ram: "file", reboot: true });
  const target = `pid:${guest.pid}`;

  await t.test("output into a pipe that closes", async () => {
    const program = fileURLToPath(new URL("../../bin/kvmsec.js", import.meta.url));
    const shell = `{ ${process.execPath} ${program} symbols ${target} 2>"${home}/told"; echo "status $?" >&2; } | head -1; cat "${home}/told"`;
    const told = await command("sh", ["-c", `${shell} 2>&1`]);
    assert.equal(told.trim().split("\n").length, 1, told);
  });

  await t.test(
    "it reboots while followed: that ends, and each new look is refused or right",
    async () => {
      const answered: string[] = [];
      const rebooted = Promise.withResolvers<void>();
      const result = await follow(home, ["ps", "--json", "--watch", "0.2", target], () => {
        void guest.reboot().then(rebooted.resolve, rebooted.reject);
      });
      assertRefused(result, 3, /^KVMSEC_(KERNEL_GONE|KERNEL_INCONSISTENT|TYPE_MISSING)$/);
      const back = new AbortController();
      void rebooted.promise.then(
        () => back.abort(),
        () => back.abort(),
      );
      for (; !back.signal.aborted; await sleep(20)) answered.push(await lookOnce(target));
      await rebooted.promise;
      assert.equal(await lookOnce(target), "6.1");
      const odd = answered.filter((answer) => !/^(6\.1|KVMSEC_\w+)$/.test(answer));
      assert.deepEqual(odd, []);
    },
  );

  await t.test("its RAM file is cut off while it is followed", async () => {
    await guest.qmp("stop");
    const path = guest.ramPath ?? "";
    const result = await follow(home, ["ps", "--json", "--watch", "0.2", target], () => {
      const fd = openSync(path, "r+");
      ftruncateSync(fd, 4096);
      writeSync(fd, Buffer.alloc(16), 0, 16, 0);
      closeSync(fd);
    });
    assertRefused(result, 3, "KVMSEC_MEMORY_VANISHED");
    assertRefused(await kvmsec(home, "ps", target), 3, "KVMSEC_RAM_TRUNCATED");
  });
});

test("a guest that unpacks its kernel is refused until it is understood", async (t) => {
  const { vmlinuz } = await kernel({ release: "bookworm", flavour: "cloud" });
  await using machine = await bareMachine("kvmsec-unpacks", ["-S", "-kernel", vmlinuz]);
  const answered: string[] = [];
  await machine.monitor.execute("cont");
  for (let looks = 0; looks < 2000 && answered.at(-1) !== "6.1"; looks++) {
    answered.push(await lookOnce(`pid:${machine.pid}`));
    await sleep(20);
  }
  assert.equal(answered.at(-1), "6.1");
  assert.equal(answered[0], "KVMSEC_KERNEL_NOT_FOUND");
  const refusals = new Set(answered.slice(0, -1));
  assert.ok(
    [...refusals].every((code) => /^KVMSEC_[A-Z_]+$/.test(code)),
    [...refusals].join(),
  );
  t.diagnostic([...refusals].join(", "));
});

test("a guest that quits while it is followed", async () => {
  using folder = new TemporaryFolder();
  const image = await kernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: image });
  const target = `pid:${guest.pid}`;
  const result = await follow(
    folder.path,
    ["ps", "--json", "--watch", "0.2", target],
    // Its answer may or may not come before it is gone.
    () => void guest.qmp("quit").catch(() => {}),
  );
  assertRefused(result, 3, "KVMSEC_TARGET_GONE");
});

/** The release that is found, or the code of the refusal. */
async function lookOnce(target: string): Promise<string> {
  try {
    using found = await attach(target, { noCache: true });
    return found.kernel.identity.release.split(".").slice(0, 2).join(".");
  } catch (error) {
    if (error instanceof KvmsecError) return error.code;
    throw error;
  }
}
