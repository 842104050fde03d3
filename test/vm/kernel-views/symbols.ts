import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dumpTypes } from "../../fixtures/btf-dump.ts";
import { Btf } from "../../../src/formats/btf.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { symbols } from "../../../src/views/symbols.ts";
import { command } from "../harness/command.ts";
import type { Guest } from "../harness/guest.ts";
import { kallsyms } from "./kallsyms.ts";
import { readAll } from "./read-all.ts";

/** Every line of /proc/kallsyms, modules and generated code included, in whatever order. */
export async function symbolsAreThoseOfKallsyms(guest: Guest, kernel: Kernel): Promise<void> {
  const theirs = await kallsyms(guest, kernel);
  const text = (symbol: (typeof theirs)[number]) =>
    `${kernel.format(symbol.address)} ${symbol.type} ${symbol.name} ${symbol.module ?? ""}`;
  const ours = readAll(symbols, kernel, { modules: true });
  assert.deepEqual(ours.map(text).toSorted(), theirs.map(text).toSorted());
}

/** A name, a pattern and an address lead to the same symbol. */
export async function symbolsAreFound(guest: Guest, kernel: Kernel): Promise<void> {
  const line = (await kallsyms(guest, kernel)).find(({ name }) => name === "nft_do_chain");
  assert.ok(line !== undefined);
  const find = (word: string) => readAll(symbols, kernel, { words: [word] });
  const [byName] = find("nft_do_chain");
  assert.deepEqual([byName.address, byName.module], [line.address, "nf_tables"]);
  assert.ok(find("nft_do_ch?in*").some(({ address }) => address === line.address));
  const [byAddress] = find(kernel.format(line.address + 5));
  assert.deepEqual([byAddress.name, byAddress.offset], ["nft_do_chain", 5]);
  const [inKernel] = find(kernel.format(kernel.symbol("init_task") + 8));
  assert.deepEqual([inKernel.name, inKernel.offset, inKernel.module], ["init_task", 8, undefined]);
  assert.throws(() => find("no_such_symbol_at_all"), { code: "KVMSEC_SYMBOL_MISSING" });
}

/** bpftool's listing of the BTF that the guest itself shows. */
export async function typesAreThoseOfBpftool(guest: Guest, kernel: Kernel): Promise<void> {
  const { source } = kernel.types;
  assert.ok(source instanceof Btf);
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-btf-"));
  try {
    const path = join(folder, "vmlinux");
    writeFileSync(path, await guest.get("/sys/kernel/btf/vmlinux"));
    const theirs = (await command("bpftool", ["btf", "dump", "file", path])).trimEnd();
    assert.equal([...dumpTypes(source)].join("\n") === theirs, true);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
