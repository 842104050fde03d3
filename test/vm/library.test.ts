import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { kernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "kvmsec-library-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The documentation's examples, in order. */
function examples(): string[] {
  const text = readFileSync(join(root, "docs/guide/library.md"), "utf8");
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]);
}

/** The package as npm would install it: built, with what package.json lists and nothing else. */
async function installPackage(): Promise<string> {
  const home = join(folder, "program");
  const installed = join(home, "node_modules/kvmsec");
  mkdirSync(installed, { recursive: true });
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const project = join(root, "tsconfig.build.json");
  const output = join(installed, "dist");
  await run(process.execPath, [compiler, "-p", project, "--outDir", output]);
  for (const file of ["package.json", "bin"]) {
    cpSync(join(root, file), join(installed, file), { recursive: true });
  }
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "kvmsec" && !name.startsWith(".")) {
      symlinkSync(join(root, "node_modules", name), join(home, "node_modules", name));
    }
  }
  writeFileSync(join(home, "package.json"), '{ "type": "module" }');
  return home;
}

test("the documented examples run against a guest, from the package as it is installed", async (t) => {
  const home = await installPackage();
  const trixie = await kernel({ release: "trixie", flavour: "cloud" });
  await using guest = await bootTiny({ kernel: trixie });
  const outputs: string[] = [];
  for (const [number, example] of examples().entries()) {
    await t.test(`example ${number + 1}`, async () => {
      const file = join(home, `example-${number}.ts`);
      writeFileSync(file, `const target = "pid:${guest.pid}";\n${example}`);
      const { stdout } = await run(process.execPath, [file]);
      outputs.push(stdout);
    });
  }

  await t.test("and print what is true", async () => {
    const release = (await guest.run("uname -r")).trim();
    assert.equal(outputs[0], `${release}, 5-level paging\n`);
    assert.match(outputs[1], /^1 0 guest-agent \/usr\/sbin\/guest-agent$/m);
    assert.match(outputs[2], /^0 parts could not be read$/m);
    assert.match(outputs[3], /^0xffffffff[0-9a-f]{8} swapper\/0$/m);
    assert.match(outputs[4], /^syscall-table: pass\ncontrol-registers: pass$/m);
  });

  await t.test("the installed command runs too", async () => {
    const command = join(home, "node_modules/kvmsec/bin/kvmsec.js");
    const { stdout } = await run(process.execPath, [command, "info", `pid:${guest.pid}`, "--json"]);
    const { schema } = JSON.parse(stdout) as { schema: string };
    assert.equal(schema, "kvmsec.info/1");
  });
});
