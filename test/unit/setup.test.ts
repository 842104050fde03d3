import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { after, test } from "node:test";
import { needs } from "../vm/harness/needs.ts";

const root = resolve(import.meta.dirname, "../..");
const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** Lines of a package list, as [package, command or file]. */
function packageList(name: string): string[][] {
  return readFileSync(join(root, "scripts", name), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(/\s+/));
}

test("each package of the lists has the command or file that shows it", () => {
  for (const name of ["packages.txt", "packages-test.txt"]) {
    for (const line of packageList(name))
      assert.equal(line.length, 2, `${name}: ${line.join(" ")}`);
  }
});

test("the test packages are those that the guest tests need", () => {
  const listed = packageList("packages-test.txt").map(([name]) => name);
  assert.deepEqual(
    listed,
    needs.map((need) => need.package),
  );
});

type World = { readonly folder: string; readonly bin: string };

/** A copy of the set-up scripts in a folder of its own, and an empty folder for commands. */
function world(): World {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-setup-"));
  folders.push(folder);
  const bin = join(folder, "commands");
  mkdirSync(bin);
  cpSync(join(root, "scripts"), join(folder, "scripts"), { recursive: true });
  for (const name of ["package.json", "package-lock.json"])
    cpSync(join(root, name), join(folder, name));
  return { folder, bin };
}

/** A command that writes its name and arguments to the log, and then does `body`. */
function command(place: World, name: string, body = ""): void {
  const path = join(place.bin, name);
  writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> ${place.folder}/log\n${body}\n`);
  chmodSync(path, 0o755);
}

/** Commands of this machine that the script itself stands on. */
function basics(place: World): void {
  for (const name of ["sh", "cat", "cp", "rm", "mktemp", "dirname", "touch", "mkdir", "chmod"]) {
    const found = process.env["PATH"]!.split(delimiter)
      .map((folder) => join(folder, name))
      .find((path) => spawnSync("test", ["-x", path]).status === 0);
    symlinkSync(found!, join(place.bin, name));
  }
  symlinkSync(process.execPath, join(place.bin, "node"));
}

function run(place: World, task: string): { status: number | null; said: string; log: string } {
  // The script adds the folders of root's commands to PATH; a copy without them sees this world only.
  const script = readFileSync(join(place.folder, "scripts/run.sh"), "utf8");
  writeFileSync(
    join(place.folder, "scripts/run.sh"),
    script.replace("PATH=$PATH:/usr/sbin:/sbin", ""),
  );
  writeFileSync(join(place.folder, "log"), "");
  const result = spawnSync("sh", [join(place.folder, "scripts/run.sh"), task], {
    env: { PATH: place.bin },
    encoding: "utf8",
    input: "",
  });
  const log = readFileSync(join(place.folder, "log"), "utf8");
  return { status: result.status, said: result.stderr, log };
}

/** Only one package, shown by a command that `apt-get install` brings. */
function oneMissingPackage(place: World): void {
  writeFileSync(join(place.folder, "scripts/packages.txt"), "# list\nhello-tool   hello\n");
}

/** What an `npm ci` leaves behind. */
function modulesInstalled(place: World): string {
  const modules = join(place.folder, "node_modules");
  return [
    `mkdir -p ${modules}/node/bin`,
    `cat ${place.folder}/package-lock.json > ${modules}/.package-lock.json`,
    `echo '#!/bin/sh' > ${modules}/node/bin/node`,
    `echo 'echo "pinned $*" >> ${place.folder}/log' >> ${modules}/node/bin/node`,
    `chmod +x ${modules}/node/bin/node`,
  ].join("\n");
}

test("root: missing packages are installed, then the modules, then the task runs; the second time nothing is", () => {
  const place = world();
  basics(place);
  oneMissingPackage(place);
  command(place, "id", "echo 0");
  command(place, "apt-get", `touch ${place.bin}/hello; chmod +x ${place.bin}/hello`);
  command(place, "npm", modulesInstalled(place));
  const first = run(place, "start");
  assert.equal(first.status, 0, first.said);
  assert.match(first.said, /installing distribution packages: hello-tool/);
  assert.deepEqual(first.log.trim().split("\n"), [
    "id -u",
    "apt-get install -y --no-install-recommends hello-tool",
    "npm ci --no-audit --no-fund --loglevel=error",
    "pinned --version",
    "pinned bin/kvmsec.js demo",
  ]);
  const second = run(place, "start");
  assert.deepEqual(second.log.trim().split("\n"), [
    "pinned --version",
    "pinned bin/kvmsec.js demo",
  ]);
  assert.equal(second.said, "");
});

test("stale package lists: an update, then again", () => {
  const place = world();
  basics(place);
  oneMissingPackage(place);
  command(place, "id", "echo 0");
  command(
    place,
    "apt-get",
    `case $1 in update) touch ${place.folder}/updated ;; *) [ -e ${place.folder}/updated ] ;; esac`,
  );
  command(place, "npm", modulesInstalled(place));
  const { status, said, log } = run(place, "start");
  assert.equal(status, 0, said);
  const calls = log.split("\n").filter((line) => line.startsWith("apt-get"));
  assert.deepEqual(
    calls.map((line) => line.split(" ")[1]),
    ["install", "update", "install"],
  );
});

test("an ordinary user without sudo gets the exact command, and nothing is done", () => {
  const place = world();
  basics(place);
  oneMissingPackage(place);
  command(place, "id", "echo 1000");
  command(place, "apt-get");
  const { status, said, log } = run(place, "start");
  assert.equal(status, 3);
  assert.match(said, /su -c 'apt-get install -y --no-install-recommends hello-tool'/);
  assert.equal(log, "id -u\n");
});

test("sudo that asks for a password is not called where nobody can answer", () => {
  const place = world();
  basics(place);
  oneMissingPackage(place);
  command(place, "id", "echo 1000");
  command(place, "apt-get");
  command(place, "sudo", "exit 1");
  const { status, said, log } = run(place, "start");
  assert.equal(status, 3);
  assert.match(said, /sudo apt-get install -y --no-install-recommends hello-tool/);
  assert.equal(log, "id -u\nsudo -n true\n");
});

test("a distribution without apt: says what is needed", () => {
  const place = world();
  basics(place);
  oneMissingPackage(place);
  const { status, said, log } = run(place, "start");
  assert.equal(status, 3);
  assert.match(said, /neither Debian nor Ubuntu/);
  assert.match(said, /hello-tool/);
  assert.equal(log, "");
});

test("modules that are not what package-lock.json asks for are installed anew; a linked folder is left alone", () => {
  const place = world();
  basics(place);
  writeFileSync(join(place.folder, "scripts/packages.txt"), "");
  command(place, "npm", modulesInstalled(place));
  assert.match(run(place, "start").log, /^npm ci/);
  const lock = readFileSync(join(place.folder, "package-lock.json"), "utf8");
  writeFileSync(join(place.folder, "package-lock.json"), lock.replace(/sha512-./, "sha512-_"));
  assert.match(run(place, "start").log, /^npm ci/);
  assert.doesNotMatch(run(place, "start").log, /npm/);
  rmSync(join(place.folder, "node_modules"), { recursive: true });
  mkdirSync(join(place.folder, "elsewhere"));
  symlinkSync("elsewhere", join(place.folder, "node_modules"));
  const { status, said, log } = run(place, "start");
  assert.deepEqual([status, log], [3, ""]);
  assert.match(said, /node_modules is a link/);
});

test("install scripts that npm did not run: the pinned Node is brought by hand, or the error tells", () => {
  const place = world();
  basics(place);
  writeFileSync(join(place.folder, "scripts/packages.txt"), "");
  const modules = join(place.folder, "node_modules");
  const unbuilt = `mkdir -p ${modules}/node\ncat ${place.folder}/package-lock.json > ${modules}/.package-lock.json`;
  command(place, "npm", unbuilt);
  const failed = run(place, "start");
  assert.equal(failed.status, 3);
  assert.match(failed.said, /the pinned Node is missing/);
  writeFileSync(
    join(modules, "node/installArchSpecificPackage.js"),
    `const fs = require("fs"); fs.mkdirSync("bin"); fs.symlinkSync(${JSON.stringify(join(place.bin, "sh"))}, "bin/node");`,
  );
  const mended = run(place, "start");
  assert.match(mended.said, /running that of the package node/);
});

test("what npm left out for its old Node is installed by a second run on the pinned one", () => {
  const place = world();
  basics(place);
  writeFileSync(join(place.folder, "scripts/packages.txt"), "");
  const lock = JSON.parse(readFileSync(join(place.folder, "package-lock.json"), "utf8"));
  const left = `@oxlint/binding-${process.platform}-${process.arch}-gnu`;
  const path = `node_modules/${left}`;
  assert.equal(lock.packages[path]?.optional, true);
  delete lock.packages[path];
  writeFileSync(join(place.folder, "incomplete.json"), JSON.stringify(lock));
  // The first run brings an incomplete set, the one that finds another Node first in PATH the rest.
  const aside = `case $PATH in ${place.bin}*) cat ${place.folder}/incomplete.json > ${place.folder}/node_modules/.package-lock.json ;; esac`;
  command(place, "npm", `${modulesInstalled(place)}\n${aside}`);
  const { status, said, log } = run(place, "start");
  assert.equal(status, 0, said);
  assert.equal(log.split("\n").filter((line) => line.startsWith("npm ci")).length, 2);
  assert.match(said, /once more/);
  assert.doesNotMatch(run(place, "start").log, /npm/);
});
