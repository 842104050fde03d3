import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import { newerQemu } from "../vm/harness/newer-qemu.ts";

const folder = resolve(import.meta.dirname, "../vm");
let path: string;

before(async () => {
  path = `${await newerQemu()}:${process.env["PATH"]}`;
});

test("the QEMU is a newer one than the oldest that is supported", () => {
  const said = execFileSync("qemu-system-x86_64", ["--version"], {
    env: { PATH: path },
    encoding: "utf8",
  });
  assert.ok(Number(/version (\d+)/.exec(said)?.[1]) >= 10, said);
});

// What QEMU leaves out of a device state, and what it says, changed more than once since 7.2.
for (const file of ["response", "response-foreign", "demo", "vm-life", "vm-mishaps", "qmp"]) {
  test(`${file}.test.ts holds with a newer QEMU`, async () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = ["--conditions=kvmsec-source", "--test", join(folder, `${file}.test.ts`)];
    const child = spawn(process.execPath, args, { env: { ...env, PATH: path } });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    }
    const [code] = (await once(child, "close")) as [number];
    assert.equal(code, 0, said);
  });
}
