#!/usr/bin/env node
// Runs kvmsec on the pinned Node, whatever Node started this file. Plain JavaScript, so that an old Node can.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { constants } from "node:os";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const pinned = here("../node_modules/node/bin/node");
const major = Number(process.versions.node.split(".")[0]);
const node = existsSync(pinned) ? pinned : process.execPath;
if (node === process.execPath && major < 24) {
  console.error(
    `kvmsec: KVMSEC_NODE_TOO_OLD: Node ${process.versions.node} cannot run kvmsec, which needs Node 24.\n  Run 'npm ci' in kvmsec's folder: it installs the right Node beside kvmsec.`,
  );
  process.exit(2);
}
const source = here("../src/cli/main.ts");
const entry = existsSync(source) ? source : here("../dist/cli/main.js");

// The command runs in a child: guest RAM that is truncated while mapped ends it with SIGBUS,
// which no handler inside can turn into an answer.
const child = spawn(
  node,
  [
    "--disable-warning=ExperimentalWarning",
    "--conditions=kvmsec-source",
    entry,
    ...process.argv.slice(2),
  ],
  { stdio: "inherit" },
);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`kvmsec: KVMSEC_NODE_FAILED: ${error.message}`);
  process.exit(3);
});
child.on("exit", (code, signal) => {
  if (signal === "SIGBUS") {
    console.error(
      "kvmsec: KVMSEC_MEMORY_VANISHED: the guest's memory file was truncated while it was being read.\n  Check that the guest still runs (kvmsec targets), then try again.",
    );
    process.exit(3);
  }
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
