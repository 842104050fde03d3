#!/usr/bin/env node
// Runs kvmsec on the pinned Node, whatever Node started this file. Plain JavaScript, so that an old Node can.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileCache, nodeFlags } from "./node-options.js";

const NEEDED = 24;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

function fail(code, sentence, hint, status) {
  console.error(`kvmsec: ${code}: ${sentence}\n  ${hint}`);
  process.exit(status);
}

/** The Node of the npm package `node`, beside kvmsec or, where kvmsec is itself a dependency, further up. */
function pinnedNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve("node/package.json");
    const program = join(dirname(manifest), "bin/node");
    return existsSync(program) ? program : undefined;
  } catch {
    return undefined;
  }
}

const node = pinnedNode() ?? process.execPath;
if (node === process.execPath && Number(process.versions.node.split(".")[0]) < NEEDED) {
  fail(
    "KVMSEC_NODE_TOO_OLD",
    `Node ${process.versions.node} cannot run kvmsec, which needs Node ${NEEDED}.`,
    "Run 'npm ci' in kvmsec's folder: it installs the right Node beside kvmsec.",
    2,
  );
}
const source = here("../src/cli/main.ts");
const entry = existsSync(source) ? source : here("../dist/cli/main.js");

// The command runs in a child: guest RAM that is truncated while mapped ends it with SIGBUS,
// which no handler inside can turn into an answer. The channel tells the child when this process
// is gone, however it went, so that no command outlives the one who called it.
// mke2fs and others lie in folders that an ordinary user of Debian does not have in PATH.
const env = { ...process.env, PATH: `${process.env.PATH ?? "/usr/bin:/bin"}:/usr/sbin:/sbin` };
const kept = compileCache();
if (kept !== undefined) env.NODE_COMPILE_CACHE ??= kept;
const child = spawn(node, [...nodeFlags, entry, ...process.argv.slice(2)], {
  stdio: ["inherit", "inherit", "inherit", "ipc"],
  env,
});
process.on("SIGTERM", () => child.kill("SIGTERM"));
for (const signal of ["SIGINT", "SIGHUP"]) {
  // A terminal sends these to the child as well: once is enough.
  process.on(signal, () => process.stdin.isTTY || child.kill(signal));
}
child.on("error", (error) => {
  fail("KVMSEC_NODE_FAILED", error.message, `Check that ${node} runs on this machine.`, 3);
});
child.on("exit", (code, signal) => {
  if (signal === "SIGBUS") {
    fail(
      "KVMSEC_MEMORY_VANISHED",
      "the guest's memory file was truncated while it was being read.",
      "Check that the guest still runs (kvmsec targets), then try again.",
      3,
    );
  }
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
