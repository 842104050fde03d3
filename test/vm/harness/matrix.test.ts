import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { bootMatrixGuest, guestMatrix } from "./guest-matrix.ts";

const extent = process.env["KVMSEC_TEST_MATRIX"] === "full" ? "full" : "small";

test("every trait appears in the small matrix", () => {
  const guests = guestMatrix("small");
  const seen = (trait: "machine" | "ram" | "cpus") =>
    new Set(guests.map(({ hardware }) => hardware[trait]));
  assert.deepEqual(new Set(guests.map(({ levels }) => levels)), new Set([5, 4]));
  assert.deepEqual(seen("machine"), new Set(["q35", "pc", "microvm"]));
  assert.deepEqual(seen("ram"), new Set(["memfd", "file", "anonymous"]));
  assert.deepEqual(seen("cpus"), new Set([1, 2, 4]));
});

for (const entry of guestMatrix(extent)) {
  test(entry.name, async (t) => {
    await using guest = await bootMatrixGuest(entry);
    assert.equal((await guest.run("uname -r")).trim(), guest.options.kernel.version);
    assert.equal((await guest.run("nproc")).trim(), String(entry.hardware.cpus));

    const flags = await guest.run("grep -m1 ^flags /proc/cpuinfo");
    assert.equal(/\bla57\b/.test(flags), entry.levels === 5, "5-level paging");

    const symbols = await guest.run("cat /proc/kallsyms");
    assert.match(symbols, /^[0-9a-f]{16} T _text$/m);
    assert.ok(symbols.split("\n").length > 40_000, "kallsyms is whole");
    const moved = !symbols.includes("ffffffff81000000 T _text");
    if (entry.hardware.append === "nokaslr") assert.equal(moved, false);

    const size = Number(/MemTotal: +(\d+) kB/.exec(await guest.run("cat /proc/meminfo"))?.[1]);
    const wanted = mebibytes(entry.hardware.memory ?? "");
    assert.ok(size / 1024 > wanted * 0.6 && size / 1024 <= wanted, `${size} kB of ${wanted} MiB`);
    if (guest.ramPath !== undefined) assert.equal(statSync(guest.ramPath).size / 2 ** 20, wanted);
    t.diagnostic(`${guest.options.kernel.version}: ${symbols.split("\n").length} symbols`);
  });
}

function mebibytes(size: string): number {
  return Number.parseInt(size, 10) * (size.endsWith("G") ? 1024 : 1);
}
