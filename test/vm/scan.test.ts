import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { kvmsec, refusal } from "./command-line.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";

const folder = mkdtempSync(join(tmpdir(), "kvmsec-scan-"));
after(() => rmSync(folder, { recursive: true }));

/** A word that nothing else has: each place spells its own. */
const word = (place: string) => `kvmsec-${place}-needle-0123456789abcdef0123456789`;

type Match = {
  rule: string;
  scope: string;
  region: string;
  pid: number | null;
  comm: string | null;
  matches: { pattern: string; address?: string; file?: string; offset?: number; symbol?: string }[];
};
type Document = {
  matches: Match[];
  coverage: { scope: string; bytes: number; complete: boolean; regions: number }[];
  problems: string[];
};

function rulesFor(...places: readonly string[]): string {
  const path = join(folder, `${places.join("-")}.yar`);
  const rules = places.map(
    (place) => `rule ${place} { strings: $it = "${word(place)}" condition: $it }`,
  );
  writeFileSync(path, rules.join("\n"));
  return path;
}

test("rules find what they look for in the kernel, in processes and in cached files", async (t) => {
  const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel, cpu: "max", cpus: 1, memory: "512M" });
  const target = `pid:${guest.pid}`;
  const scan = async (...args: string[]) => {
    const { status, stdout, stderr } = await kvmsec(folder, "scan", target, ...args, "--json");
    assert.notEqual(stdout, "", stderr);
    return { status, ...(JSON.parse(stdout) as Document) };
  };
  // In a shell's own memory; in a file, across a page boundary; and as the name of a file.
  await guest.run(
    `sh -c 'x=${word("shell")}; while :; do sleep 1000; done' > /dev/null 2>&1 < /dev/null &`,
  );
  await guest.run(
    `mkdir -p /tmp; head -c 4076 /dev/zero > /tmp/odd; printf %s ${word("file")} >> /tmp/odd; touch /tmp/${word("name")}`,
  );

  await t.test("a file's bytes are found with path and offset, across its pages", async () => {
    const { status, matches } = await scan("--rules", rulesFor("file"), "--in", "pagecache");
    assert.equal(status, 1);
    const found = matches.find(({ region }) => region === "/tmp/odd");
    assert.deepEqual(
      found?.matches.map(({ pattern, file, offset }) => [pattern, file, offset]),
      [["$it", "/tmp/odd", 4076]],
    );
  });

  await t.test(
    "a process's memory is found with mapping, pid and name, and read gives the same",
    async () => {
      const { status, matches } = await scan("--rules", rulesFor("shell"), "--in", "processes");
      assert.equal(status, 1);
      const holder = matches.find(({ comm, region }) => comm === "sh" && region !== "[stack]");
      assert.ok(holder?.pid, JSON.stringify(matches));
      const address = holder.matches[0]?.address;
      assert.ok(address !== undefined);
      const place = [target, address, String(word("shell").length), "--pid", String(holder.pid)];
      const { stdout } = await kvmsec(folder, "read", ...place, "--raw");
      assert.equal(stdout, word("shell"));
      const other = await scan("--rules", rulesFor("shell"), "--pid", "1");
      assert.ok(other.matches.every(({ pid }) => pid === 1));
      assert.deepEqual(
        other.coverage.map(({ scope }) => scope),
        ["processes"],
      );
    },
  );

  await t.test(
    "the kernel's heap and image are scanned, places in the image by symbol",
    async () => {
      const path = join(folder, "kernel.yar");
      writeFileSync(
        path,
        `rule banner { strings: $it = "Linux version " condition: $it }\nrule name { strings: $it = "${word("name")}" condition: $it }`,
      );
      const { status, matches } = await scan("--rules", path, "--in", "kernel");
      assert.equal(status, 1);
      const symbols = matches
        .filter(({ rule, region }) => rule === "banner" && region === "kernel")
        .flatMap((match) => match.matches.map(({ symbol }) => symbol));
      assert.ok(symbols.includes("linux_banner"), symbols.join());
      assert.ok(matches.some(({ rule, region }) => rule === "name" && region.includes("heap")));
    },
  );

  await t.test("nothing is found where nothing is, and what was scanned is said", async () => {
    const { status, matches, coverage, problems } = await scan("--rules", rulesFor("nowhere"));
    // The rule's own text is nowhere in the guest.
    assert.deepEqual(matches, []);
    assert.equal(status, 0, problems.join());
    assert.deepEqual(
      coverage.map(({ scope, complete }) => [scope, complete]),
      [
        ["kernel", true],
        ["processes", true],
        ["pagecache", true],
      ],
    );
    for (const { bytes, regions } of coverage) assert.ok(bytes > 2 ** 20 && regions > 0);
  });

  await t.test("time that is over is no all-clear; mistakes are told", async () => {
    const short = await scan("--rules", rulesFor("nowhere"), "--time-limit", "0.001");
    assert.equal(short.status, 4);
    assert.match(short.problems.join(), /time was over/);
    const bad = join(folder, "bad.yar");
    writeFileSync(bad, "rule a {\n condition: $x }");
    const refused = await kvmsec(folder, "scan", target, "--rules", bad);
    assert.equal(refusal(refused), "2 KVMSEC_RULES_INVALID");
    assert.match(refused.stderr, /bad\.yar, line 2/);
    const nobody = await kvmsec(
      folder,
      "scan",
      target,
      "--rules",
      rulesFor("file"),
      "--pid",
      "99999",
    );
    assert.equal(refusal(nobody), "2 KVMSEC_NO_SUCH_PROCESS");
  });
});
