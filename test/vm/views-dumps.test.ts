import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pcLayout } from "../../src/memory/ranges.ts";
import { modules, mounts, ps, sockets } from "../../src/views/index.ts";
import type { View } from "../../src/views/view.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { avmlBlock, limeBlock } from "../fixtures/dump-writers.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import { populate, populationModules } from "./harness/populate.ts";

const MIB = 2 ** 20;
const views: readonly View<never>[] = [ps, modules, sockets, mounts] as unknown as View<never>[];

/** What the views say, as scripts get it. */
function everything({ kernel: found }: Attached): Record<string, unknown[]> {
  const said = views.map((view) => {
    found.refresh();
    const problems: string[] = [];
    const rows = [...view.read(found, {}, (reason) => problems.push(reason))];
    assert.deepEqual(problems, []);
    return [view.list, JSON.parse(JSON.stringify(rows.map((row) => view.json(row, found))))];
  });
  return Object.fromEntries(said) as Record<string, unknown[]>;
}

test("views say the same of a stopped guest and of its dumps in every format", async (t) => {
  await using guest = await bootTiny({
    kernel: await kernel({ release: "bookworm", flavour: "cloud" }),
    ram: "file",
    memory: "384M",
    modules: populationModules,
  });
  await populate(guest, ["odd-processes", "odd-sockets", "system"]);
  await guest.qmp("stop");
  using folder = new TemporaryFolder();
  const path = (name: string): string => join(folder.path, name);
  const dump = async (name: string, options: object): Promise<string> => {
    const protocol = `file:${path(name)}`;
    await guest.qmp("dump-guest-memory", { paging: false, protocol, ...options });
    return path(name);
  };
  const ram = readFileSync(guest.ramPath ?? "");
  const blocks = pcLayout(ram.length, 2 ** 31);
  const write = (
    name: string,
    step: number,
    form: (start: number, bytes: Buffer) => readonly Uint8Array[],
  ): string => {
    const parts = blocks.flatMap(({ start, offset, size }) =>
      Array.from({ length: Math.ceil(size / step) }, (_, index) => {
        const at = offset + index * step;
        const end = Math.min(at + step, offset + size);
        return form(start + index * step, ram.subarray(at, end));
      }).flat(),
    );
    writeFileSync(path(name), Buffer.concat(parts));
    return path(name);
  };
  using live = await attach(`pid:${guest.pid}`);
  const expected = everything(live);
  for (const [list, rows] of Object.entries(expected)) assert.ok(rows.length > 5, list);

  const formats: readonly (readonly [string, () => string | Promise<string>])[] = [
    ["ELF", () => dump("elf", {})],
    ["ELF with paging", () => dump("paging", { paging: true })],
    ["kdump-zlib", () => dump("zlib", { format: "kdump-zlib" })],
    ["LiME", () => write("lime", 2 ** 30, limeBlock)],
    ["AVML", () => write("avml", 16 * MIB, avmlBlock)],
    ["raw", () => write("raw", MIB, (_, bytes) => [bytes])],
  ];
  for (const [name, make] of formats) {
    await t.test(name, async () => {
      using copied = await attach(`file:${await make()}`);
      assert.deepEqual(everything(copied), expected);
    });
  }
});
