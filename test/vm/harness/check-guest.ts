import assert from "node:assert/strict";
import { statSync } from "node:fs";
import type { Guest } from "./guest.ts";
import { pagingLevels, type MatrixGuest } from "./guest-matrix.ts";

/** The guest itself says that it is what its entry in the list promises. */
export async function checkGuest(guest: Guest, entry: MatrixGuest): Promise<void> {
  assert.equal((await guest.run("uname -r")).trim(), guest.options.kernel.version);
  assert.equal((await guest.run("nproc")).trim(), String(entry.hardware.cpus));

  const flags = await guest.run("grep -m1 ^flags /proc/cpuinfo");
  assert.equal(/\bla57\b/.test(flags), pagingLevels(guest, entry) === 5, "5-level paging");
  assert.equal(/\bpti\b/.test(flags), entry.hardware.append.includes("pti=on"), "KPTI");

  const symbols = await guest.run("cat /proc/kallsyms");
  assert.match(symbols, /^[0-9a-f]{16} T _text$/m);
  assert.ok(symbols.split("\n").length > 40_000, "kallsyms is whole");
  const moved = !symbols.includes("ffffffff81000000 T _text");
  if (entry.hardware.append === "nokaslr") assert.equal(moved, false);

  const size = Number(/MemTotal: +(\d+) kB/.exec(await guest.run("cat /proc/meminfo"))?.[1]);
  const wanted = mebibytes(entry.hardware.memory ?? "");
  assert.ok(size / 1024 > wanted * 0.6 && size / 1024 <= wanted, `${size} kB of ${wanted} MiB`);
  if (guest.ramPath !== undefined) assert.equal(statSync(guest.ramPath).size / 2 ** 20, wanted);
}

function mebibytes(size: string): number {
  return Number.parseInt(size, 10) * (size.endsWith("G") ? 1024 : 1);
}
