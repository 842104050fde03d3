import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { createInterface } from "node:readline";
import type { SymbolCache } from "../../src/linux/discovery/symbol-cache.ts";
import { openKernel } from "../../src/linux/discovery/open-kernel.ts";
import { FileSymbolCache } from "../../src/vm/decode-cache.ts";
import { attach } from "../../src/vm/guest.ts";
import { TemporaryFolder } from "../fixtures/temporary.ts";
import { startKvmsec } from "./command-line.ts";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";

type LogLine = { schema: string; records: { seq: number; text: string }[] };

/** A cache that tells whether anything was decoded anew. */
function counting(cache: SymbolCache): SymbolCache & { stored: number } {
  return {
    stored: 0,
    known: () => cache.known(),
    load: (one) => cache.load(one),
    store(one, bytes) {
      this.stored++;
      cache.store(one, bytes);
    },
  };
}

async function assertSymbols(guest: Guest, symbols: Iterable<{ address: number; name: string }>) {
  await guest.run("echo 0 > /proc/sys/kernel/kptr_restrict");
  const lines = (await guest.get("/proc/kallsyms")).toString("latin1").trim().split("\n");
  const theirs = lines
    .filter((line) => !line.includes("\t"))
    .map((line) => line.replace(/ \S /, " "))
    .toSorted();
  const ours = Array.from(symbols, ({ address, name }) => {
    const digits = BigInt.asUintN(64, BigInt(address)).toString(16).padStart(16, "0");
    return `${digits} ${name}`;
  });
  assert.deepEqual(ours.toSorted(), theirs);
}

/** The log is told record by record as it grows, each once. */
async function assertFollowed(guest: Guest, home: string): Promise<void> {
  const child = startKvmsec(home, ["dmesg", "--follow", "--json", `pid:${guest.pid}`]);
  child.stdin.end();
  const closed = once(child, "close") as Promise<[number | null]>;
  const records: { seq: number; text: string }[] = [];
  let told = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const { schema, records: some } = JSON.parse(line) as LogLine;
    assert.equal(schema, "kvmsec.dmesg/1");
    records.push(...some);
    const last = some.at(-1)?.text ?? "";
    // The next words are spoken only when the last ones were heard.
    if (told === 0 || last === `followed ${told}`) {
      if (told === 3) child.kill("SIGINT");
      else await guest.run(`echo followed ${++told} > /dev/kmsg`);
    }
  }
  const [status] = await closed;
  assert.equal(status, 0);
  assert.deepEqual(
    records.map(({ seq }) => seq),
    records.map((_, index) => (records[0]?.seq ?? 0) + index),
  );
  const words = records.map(({ text }) => text).filter((text) => text.startsWith("followed"));
  assert.deepEqual(words, ["followed 1", "followed 2", "followed 3"]);
}

test("a kernel that is known from its last boot", async (t) => {
  using folder = new TemporaryFolder();
  await using guest = await bootTiny({
    kernel: await kernel({ release: "trixie", flavour: "cloud" }),
    reboot: true,
  });
  const cache = counting(new FileSymbolCache(folder.path));
  const look = async () => {
    using attached = await attach(`pid:${guest.pid}`, { noCache: true });
    return openKernel(attached.memory, { cache });
  };
  const first = await look();
  assert.equal(cache.stored, 1);

  await t.test("its log is followed", () => assertFollowed(guest, folder.path));
  await t.test(
    "one whose clock stands may be left over from before a boot: all is searched",
    async () => {
      await guest.run("date -s '2001-02-03 04:05:06'");
      const { image } = await look();
      assert.equal(cache.stored, 2);
      await guest.run(`date -s @${Math.floor(Date.now() / 1000)}`);
      assert.deepEqual((await look()).image, image);
      assert.equal(cache.stored, 2);
    },
  );
  await t.test("after a boot that moved it, its symbols are moved too", async () => {
    let { virtual } = first.image;
    for (let boots = 0; boots < 4 && virtual === first.image.virtual; boots++) {
      await guest.reboot();
      ({ virtual } = (await look()).image);
    }
    assert.notEqual(virtual, first.image.virtual, "KASLR chose another place");
    const { symbols } = await look();
    assert.equal(cache.stored, 2, "nothing was decoded anew");
    await assertSymbols(guest, symbols);
  });
});
