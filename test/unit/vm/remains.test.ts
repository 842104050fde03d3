import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { removeTree, sweepRemains } from "../../../src/vm/remains.ts";

const folder = mkdtempSync(join(tmpdir(), "kvmsec-remains-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("remains of the dead are swept, those of the living stay", () => {
  const room = join(folder, "room");
  const dead = 2 ** 22 + 1; // above the largest pid that Linux gives (PID_MAX_LIMIT)
  const names = {
    gone: [
      `.build-a-7-${dead}`,
      `.build-a-7-${dead}-former`,
      `.new-b-${dead}`,
      `.deleted-c-${dead}`,
    ],
    kept: [`.build-a-7-${process.pid}`, "vm-1", `plain-${dead}`],
  };
  for (const name of [...names.gone, ...names.kept])
    mkdirSync(join(room, name), { recursive: true });
  sweepRemains(room);
  for (const name of names.gone) assert.equal(existsSync(join(room, name)), false, name);
  for (const name of names.kept) assert.equal(existsSync(join(room, name)), true, name);
});

test("nothing is removed through a mount", { skip: process.geteuid?.() !== 0 }, () => {
  // In a mount namespace of its own, so that the mount cannot outlive the test.
  const outside = join(folder, "outside");
  const inside = join(folder, "to be removed");
  mkdirSync(join(inside, "mounted"), { recursive: true });
  mkdirSync(outside);
  writeFileSync(join(outside, "precious"), "");
  const module = new URL("../../../src/vm/remains.ts", import.meta.url);
  const script = `import { removeTree } from ${JSON.stringify(module.href)}; removeTree(${JSON.stringify(inside)});`;
  execFileSync("unshare", [
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    'mount --bind "$1" "$2" && exec "$3" --conditions=kvmsec-source --input-type=module --eval "$4"',
    "sh",
    outside,
    join(inside, "mounted"),
    process.execPath,
    script,
  ]);
  assert.ok(existsSync(join(outside, "precious")));
  removeTree(inside);
  assert.equal(existsSync(inside), false);
});
