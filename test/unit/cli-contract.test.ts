import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";
import { commands } from "../../src/cli/commands.ts";
import { program } from "../../src/cli/run.ts";

const root = resolve(import.meta.dirname, "../..");
const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function kvmsec(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  const path = join(root, "bin/kvmsec.js");
  return spawnSync(process.execPath, [path, ...argv], { encoding: "utf8" });
}

const io = { stdout: new PassThrough(), stderr: new PassThrough(), exit: () => undefined };

test("--help lists every command and leaves with 0", () => {
  const { status, stdout, stderr } = kvmsec("--help");
  assert.deepEqual([status, stderr], [0, ""]);
  for (const { name, summary } of commands) {
    assert.match(stdout, new RegExp(`^  ${name}\\b.*`, "m"));
    assert.match(summary, /^[a-zA-Z]/);
  }
});

test("every command, and every command within one, has help that describes each argument and option", async () => {
  for (const entry of commands) {
    const built = await program([entry.name], io);
    const command = built.commands.find((one) => one.name() === entry.name)!;
    for (const one of [command, ...command.commands]) {
      const help = one.helpInformation();
      assert.match(help, /^Usage: /, entry.name);
      assert.notEqual(one.description(), "", `${entry.name} ${one.name()}`);
      for (const option of one.options) {
        assert.notEqual(option.description, "", `${entry.name} ${option.flags}`);
      }
    }
  }
});

test("a mistyped command leaves with 2 and names the one that was meant", () => {
  const { status, stdout, stderr } = kvmsec("target");
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(
    stderr,
    /^kvmsec: KVMSEC_USAGE: unknown command 'target'\n\(Did you mean targets\?\)/,
  );
  assert.doesNotMatch(stderr, /^ {4}at /m);
});

test("a wrong option, a missing argument, no command at all: 2, no stack trace", () => {
  for (const argv of [["ps", "--jsno", "pid:1"], ["ps"], [], ["ps", "a", "b"]]) {
    const { status, stdout, stderr } = kvmsec(...argv);
    assert.deepEqual([status, stdout], [2, ""], argv.join(" "));
    assert.match(stderr, /Usage: |KVMSEC_USAGE/);
    assert.doesNotMatch(stderr, /^ {4}at /m);
  }
});

test("a target that is not there: 3, a code and a sentence, no stack trace", () => {
  const { status, stderr } = kvmsec("info", "file:/nonexistent/dump");
  assert.equal(status, 3);
  assert.match(stderr, /^kvmsec: KVMSEC_[A-Z_]+: /);
  assert.doesNotMatch(stderr, /KVMSEC_INTERNAL|^ {4}at /m);
});

test("output that cannot be written is an error, a reader that left is not", () => {
  const full = openSync("/dev/full", "w");
  const path = join(root, "bin/kvmsec.js");
  const argv = [path, "targets", "--json"];
  const failed = spawnSync(process.execPath, argv, {
    stdio: ["ignore", full, "pipe"],
    encoding: "utf8",
  });
  closeSync(full);
  assert.equal(failed.status, 3);
  assert.match(failed.stderr, /KVMSEC_OUTPUT/);
  const shell = `'${process.execPath}' '${path}' --help | head -c 1 >/dev/null`;
  const piped = spawnSync("sh", ["-c", shell], { encoding: "utf8" });
  assert.deepEqual([piped.status, piped.stderr], [0, ""]);
});

/** bin/kvmsec.js in a folder of its own, with another program in the place of the command line. */
function launcher(main: string): string {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-bin-"));
  folders.push(folder);
  for (const name of ["src/cli", "node_modules/node/bin"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  cpSync(join(root, "bin"), join(folder, "bin"), { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "node_modules/node/package.json"), "{}");
  symlinkSync(process.execPath, join(folder, "node_modules/node/bin/node"));
  writeFileSync(join(folder, "src/cli/main.ts"), main);
  return join(folder, "bin/kvmsec.js");
}

test("the launcher leaves with the command's status, and turns SIGBUS into an answer", () => {
  const status = launcher("process.exitCode = Number(process.argv[2]);");
  assert.equal(spawnSync(process.execPath, [status, "4"]).status, 4);
  const faulty = launcher('process.kill(process.pid, "SIGBUS"); setInterval(() => {}, 1000);');
  const result = spawnSync(process.execPath, [faulty], { encoding: "utf8" });
  assert.equal(result.status, 3);
  assert.match(result.stderr, /KVMSEC_MEMORY_VANISHED/);
  const killed = launcher('process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000);');
  assert.equal(spawnSync(process.execPath, [killed]).status, 128 + 9);
});

// The real main.ts with a command that never ends in the place of run.ts.
const endless = `export const run = () => new Promise(() => {
  console.log(process.pid);
  setInterval(() => {}, 1000);
});`;

async function startEndless(): Promise<{ launcher: ReturnType<typeof spawn>; command: number }> {
  const path = launcher("");
  cpSync(join(root, "src/cli/main.ts"), join(path, "../../src/cli/main.ts"));
  writeFileSync(join(path, "../../src/cli/run.ts"), endless);
  const child = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout!, "data")) as [Buffer];
  return { launcher: child, command: Number(String(line)) };
}

/** Runs still: in a container nobody may reap it, and then its entry stays as a zombie. */
function alive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

test(
  "a command does not outlive a launcher that was killed",
  { timeout: 20_000 },
  async ({ signal }) => {
    const { launcher, command } = await startEndless();
    assert.equal(alive(command), true);
    launcher.kill("SIGKILL");
    while (alive(command) && !signal.aborted)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(alive(command), false);
  },
);

test("signals reach the command once", { timeout: 20_000 }, async () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    const { launcher, command } = await startEndless();
    launcher.kill(signal);
    const [code] = (await once(launcher, "exit")) as [number];
    assert.equal(code, { SIGTERM: 143, SIGINT: 130, SIGHUP: 129 }[signal]);
    assert.equal(alive(command), false);
  }
});

/** The command lines of a document's shell examples, split into words, without comments. */
function shownCommands(document: string): string[][] {
  const text = readFileSync(join(root, document), "utf8");
  return [...text.matchAll(/^```(?:sh)?\n([\s\S]*?)^```/gm)]
    .flatMap(([, block]) => block!.split("\n"))
    .map((line) => line.replace(/ +#.*$/, "").trim())
    .filter((line) => line.startsWith("kvmsec "))
    .map((line) => (line.match(/"[^"]*"|\S+/g) ?? []).slice(1));
}

const guides = readdirSync(join(root, "docs/guide")).map((name) => `docs/guide/${name}`);

test("every kvmsec line of the README and the guides is one that kvmsec understands", async () => {
  const shown = ["README.md", ...guides].flatMap((path) => shownCommands(path));
  assert.ok(shown.length > 50);
  for (const argv of shown) {
    const built = await program(argv, io);
    let command = built;
    const words = [...argv];
    for (;;) {
      const next = command.commands.find((one) => one.name() === words[0]);
      if (next === undefined) break;
      command = next;
      words.shift();
    }
    const line = `kvmsec ${argv.join(" ")}`;
    assert.notEqual(command, built, `${line}: no such command`);
    const { operands, unknown } = command.parseOptions(words);
    assert.deepEqual(unknown, [], line);
    const most = command.registeredArguments.some((one) => one.variadic)
      ? Number.POSITIVE_INFINITY
      : command.registeredArguments.length;
    const least = command.registeredArguments.filter((one) => one.required).length;
    assert.ok(operands.length >= least && operands.length <= most, line);
  }
});
