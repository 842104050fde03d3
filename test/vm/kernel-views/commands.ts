import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { kvmsec, refusal } from "../command-line.ts";
import type { Guest } from "../harness/guest.ts";

/** The commands of these views leave with the status that says how much they could see. */
export async function commandsTellHowMuchTheySaw(guest: Guest, kernel: Kernel): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "kvmsec-commands-"));
  const target = `pid:${guest.pid}`;
  const run = (command: string, ...rest: string[]) => kvmsec(home, command, target, ...rest);
  try {
    await readingIsTold(run, kernel);
    await extractingIsTold(guest, home, target);
    assert.equal(refusal(await run("symbols", "no_such_symbol")), "2 KVMSEC_SYMBOL_MISSING");
    assert.equal(refusal(await run("types", "no_such_type")), "2 KVMSEC_TYPE_MISSING");
    const { status, stdout } = await run("types", "list_head", "--offsets");
    assert.equal(status, 0);
    assert.match(stdout, /struct list_head \*next; +\/\* +0 +8 \*\//);
    for (const view of ["modules", "syscalls", "idt", "dmesg", "bpf"]) {
      const shown = await run(view, "--json");
      assert.equal(shown.status, 0, shown.stderr);
      const { schema } = JSON.parse(shown.stdout) as { schema: string };
      assert.equal(schema, `kvmsec.${view}/1`);
    }
  } finally {
    rmSync(home, { recursive: true });
  }
}

type Run = (command: string, ...rest: string[]) => ReturnType<typeof kvmsec>;

async function readingIsTold(run: Run, kernel: Kernel): Promise<void> {
  const banner = kernel.identity.banner;
  const raw = await run("read", "linux_banner", String(banner.length), "--raw");
  assert.deepEqual([raw.status, raw.stdout], [0, banner]);
  const nowhere = await run("read", "0xfffffffffffff000", "16");
  assert.equal(nowhere.status, 3);
  assert.match(nowhere.stdout, /^fffffffffffff000( +\?\?){16} +\|\?{16}\|$/m);
  const end = kernel.memory.ranges[0].size;
  const half = await run("read", `0x${(end - 8).toString(16)}`, "16", "--physical", "--json");
  assert.equal(half.status, 4);
  const { readable, unreadable } = JSON.parse(half.stdout) as Record<string, { length: number }[]>;
  assert.equal(readable.length, 1);
  assert.deepEqual(unreadable, [{ address: `0x${end.toString(16)}`, length: 8 }]);
}

async function extractingIsTold(guest: Guest, home: string, target: string): Promise<void> {
  const output = join(home, "extracted");
  const extract = (path: string, ...rest: string[]) =>
    kvmsec(home, "pagecache", "extract", target, path, "-o", output, ...rest);
  await guest.run("seq 1 50000 > /tmp/extracted");
  assert.equal((await extract("/tmp/extracted")).status, 0);
  const sum = createHash("sha256").update(readFileSync(output)).digest("hex");
  assert.equal((await guest.run("sha256sum /tmp/extracted")).split(" ")[0], sum);
  assert.equal(refusal(await extract("/tmp/extracted")), "2 KVMSEC_OUTPUT");
  assert.equal(refusal(await extract("/no/such/file")), "2 KVMSEC_NOT_CACHED");
  await guest.run("cp /tmp/extracted /disk/partly; sync; echo 3 > /proc/sys/vm/drop_caches");
  await guest.run("dd if=/disk/partly of=/dev/null bs=4096 skip=60 count=1 status=none");
  const partly = await extract("/disk/partly", "--force", "--json");
  assert.equal(partly.status, 4, partly.stderr);
  const told = JSON.parse(partly.stdout) as { complete: boolean; holes: object[] };
  assert.equal(told.complete, false);
  assert.ok(told.holes.length > 0);
}
