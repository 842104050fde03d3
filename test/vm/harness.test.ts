import assert from "node:assert/strict";
import { test } from "node:test";
import { kernel, kernelConfig } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";

test("a Debian kernel boots and obeys", async (t) => {
  const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
  assert.equal(kernelConfig(bookworm).get("CONFIG_DEBUG_INFO_BTF"), "y");
  await using guest = await bootTiny({ kernel: bookworm, cpus: 2, availableModules: ["dummy"] });

  await t.test("it is the kernel that was asked for", async () => {
    assert.equal((await guest.run("uname -r")).trim(), bookworm.version);
    assert.equal((await guest.run("nproc")).trim(), "2");
    assert.match(guest.console, /Linux version 6\.1\./);
  });

  await t.test("bytes pass unharmed both ways", async () => {
    const bytes = Uint8Array.from({ length: 1 << 20 }, (_, index) => (index * 7919) >> 3);
    await guest.put("/tmp/odd 'name", bytes, 0o600);
    assert.deepEqual(await guest.get("/tmp/odd 'name"), Buffer.from(bytes));
    assert.match(await guest.run("stat -c %a /tmp/odd*"), /^600$/m);
  });

  await t.test("status and error output are told apart, commands run side by side", async () => {
    const failed = await guest.attempt("echo out; echo err >&2; exit 3");
    assert.deepEqual(
      [failed.status, `${failed.stdout}`, `${failed.stderr}`],
      [3, "out\n", "err\n"],
    );
    assert.equal((await guest.attempt("kill -9 $$")).status, 137);
    await assert.rejects(guest.run("false"), /status 1/);
    await Promise.all([
      guest.run("while [ ! -e /tmp/go ]; do sleep 0.05; done"),
      guest.run("touch /tmp/go"),
    ]);
  });

  await t.test("a command that does not end is killed", async () => {
    await assert.rejects(guest.run("sleep 987654", { timeout: 300 }), /not done in 300 ms/);
    assert.equal((await guest.attempt("pgrep -f '^sleep 987654'")).status, 1);
  });

  await t.test("modules can be loaded", async () => {
    await guest.run("modprobe dummy && ip link show dummy0");
    assert.match(await guest.run("lsmod"), /^dummy\b/m);
  });
});
