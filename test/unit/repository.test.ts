import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "../..");
const folders = new Set([".ci", "bin", "docs", "guest", "scripts", "src", "test"]);
const text = /\.(ts|js|sh|c|h|md|txt|json|ya?ml|html|css)$|\/(run|Makefile)$/;

/** Every text file that is ours, by its path from the root. */
function files(): string[] {
  const inFolders = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && folders.has(entry.name))
    .flatMap(({ name }) =>
      readdirSync(join(root, name), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
    );
  const beside = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isFile());
  return [...inFolders, ...beside.map((entry) => entry.name)].filter((name) => text.test(name));
}

const read = (name: string): string => readFileSync(join(root, name), "utf8");

test("source files are named in kebab-case", () => {
  for (const name of files().filter((path) => /^(src|scripts|bin)\//.test(path))) {
    for (const part of name.split("/")) assert.match(part, /^[a-z0-9]+([-.][a-z0-9]+)*$/, name);
  }
});

test("no file names a folder of somebody's machine", () => {
  // Folders below a home or a work folder; examples speak of ~ or of /home/user.
  const personal = /(?<![\w.~-])\/(?:work|Users|home(?!\/user\b))\/[a-z]/;
  for (const name of files()) {
    for (const [index, line] of read(name).split("\n").entries()) {
      if (name === "test/unit/repository.test.ts") continue;
      assert.doesNotMatch(line, personal, `${name}:${index + 1}`);
    }
  }
});

test("the lock file names no registry, and its packages can be checked", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as {
    packages: Record<string, { resolved?: string; integrity?: string; link?: boolean }>;
  };
  for (const [name, entry] of Object.entries(packages)) {
    if (name === "") continue;
    assert.equal(entry.resolved, undefined, name);
    assert.match(entry.integrity ?? "", /^sha512-/, name);
  }
});

test("no file fixes the host of an archive or registry: they come from apt's and npm's configuration", () => {
  const archive =
    /\b(?:https?|ftp):\/\/[^\s"'`)>]*(?:debian|ubuntu|registry|mirror|npmjs)[^\s"'`)>]*/i;
  for (const name of files()) {
    if (name === "test/unit/repository.test.ts") continue;
    assert.equal(archive.exec(read(name))?.[0], undefined, name);
  }
});

test("work is finished: no file says that it is not", () => {
  const unfinished = /\b(?:TODO|FIXME|HACK|not (?:yet )?implemented|lorem ipsum)\b/i;
  for (const name of files().filter((path) => /^(src|bin|scripts|guest)\//.test(path))) {
    assert.equal(unfinished.exec(read(name))?.[0], undefined, name);
  }
});

test("every package that is used at run time is a dependency with a fixed version", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<
    "dependencies" | "devDependencies",
    Record<string, string>
  >;
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+/, name);
  }
});
