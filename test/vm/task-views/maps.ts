import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { maps } from "../../../src/views/maps.ts";
import type { MappingRow } from "../../../src/views/maps.ts";
import type { Guest } from "../harness/guest.ts";
import type { Population } from "../harness/populate.ts";
import { agree, readAll } from "./agree.ts";
import { readProc } from "./proc.ts";

/** Every mapping of every process, as the lines of /proc/PID/maps. */
export async function mappingsAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  await agree(
    async () => {
      const proc = await readProc(guest, "maps");
      return proc.pids.flatMap((pid) =>
        (proc.text(`${pid}/maps`) ?? "")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => `${pid} ${line.replace(/^((?:\S+ ){5}) */, "$1").trimEnd()}`),
      );
    },
    () =>
      readAll(maps, kernel, {})
        // Of a process whose leader has exited /proc shows nothing.
        .filter(({ comm }) => comm !== "leaderless")
        .toSorted((a, b) => a.pid - b.pid)
        .map((row) => `${row.pid} ${mapsLine(kernel, row)}`),
    "mappings",
  );
}

const hex = (value: string): string => value.replace("0x", "").padStart(8, "0");

/** show_map_vma of fs/proc/task_mmu.c, without the padding before the name. */
function mapsLine(kernel: Kernel, row: MappingRow): string {
  const range = [row.start, row.end].map((address) => hex(kernel.format(address))).join("-");
  const offset = hex(row.offset.toString(16));
  const name = (row.path ?? "").replaceAll("\n", "\\012");
  return `${range} ${row.permissions} ${offset} ${row.device} ${row.inode} ${name}`.trimEnd();
}

/** The page that no process's tree holds is there, and a tree of many levels is walked whole. */
export async function unusualMappingsAreShown(
  _guest: Guest,
  kernel: Kernel,
  population: Population,
): Promise<void> {
  const of = (name: string): MappingRow[] =>
    readAll(maps, kernel, { pid: [population.get(name) ?? -1] });
  assert.ok(of("many_mappings").length > 6000);
  assert.ok(of("churned_mappings").length > 1000);
  assert.equal(of("rare_mappings").at(-1)?.path, "[vsyscall]");
  assert.ok(of("leaderless").some(({ path }) => path === "/usr/sbin/odd-processes"));
  assert.ok(of("overlaid").some(({ path }) => path === "/tmp/overlay/program"));
  const high = of("rare_mappings").filter(({ start }) => start > 2 ** 47);
  assert.equal(high.length, kernel.identity.levels === 5 ? 2 : 0);
}

/** How much of each mapping is in memory is what /proc/PID/smaps says. */
export async function residentPartsAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  await agree(
    async () => {
      const proc = await readProc(guest, "smaps");
      return proc.pids.flatMap((pid) =>
        (proc.text(`${pid}/smaps`) ?? "")
          .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
          .filter((block) => block !== "" && !block.includes("[vsyscall]") && pid !== 1)
          .map((block) => {
            const [range] = block.split(" ");
            return `${pid} ${range} ${Number(/^Rss: +(\d+) kB$/m.exec(block)?.[1]) * 1024}`;
          }),
      );
    },
    () =>
      readAll(maps, kernel, { rss: true })
        .filter((row) => row.comm !== "leaderless" && row.start >= 0 && row.pid !== 1)
        .toSorted((a, b) => a.pid - b.pid)
        .map((row) => `${row.pid} ${mapsLine(kernel, row).split(" ")[0]} ${row.rss}`),
    "resident parts",
  );
}
