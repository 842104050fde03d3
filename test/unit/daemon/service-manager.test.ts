import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ServiceManager } from "../../../src/daemon/service-manager.ts";

// Node itself has no datagrams over unix sockets; Perl is on every Debian.
const LISTEN = `use Socket; $| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0) or die;
bind(S, pack_sockaddr_un($ARGV[0])) or die; print "ready\\n";
for (1..$ARGV[1]) { recv(S, $m, 4096, 0); print "$m\\n--\\n"; }`;

test("systemd is told by datagrams that the guard is ready, alive and stopping", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-notify-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "notify");
  const listener = spawn("perl", ["-e", LISTEN, path, "3"]);
  t.after(() => listener.kill());
  let heard = "";
  listener.stdout.setEncoding("utf8").on("data", (text: string) => (heard += text));
  await once(listener.stdout, "data");
  using manager = new ServiceManager({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "20000" });
  assert.equal(manager.ready("here"), true);
  while (!heard.includes("WATCHDOG")) await once(listener.stdout, "data");
  manager.stopping();
  if (listener.exitCode === null) await once(listener, "exit");
  assert.match(
    heard,
    new RegExp(`READY=1\nMAINPID=${process.pid}\nSTATUS=here\n--\nWATCHDOG=1\n--`),
  );
});

test("without systemd nothing is said, and a socket that is not there is no error", () => {
  using silent = new ServiceManager({});
  assert.equal(silent.ready("here"), false);
  using deaf = new ServiceManager({ NOTIFY_SOCKET: "/nonexistent/notify" });
  assert.equal(deaf.stopping(), false);
});

test("systemd takes the unit as it stands", (t) => {
  const unit = join(import.meta.dirname, "../../../contrib/kvmsec.service");
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-unit-"));
  t.after(() => rmSync(folder, { recursive: true }));
  // The program that it names has to be there.
  const text = readFileSync(unit, "utf8").replaceAll("/opt/kvmsec/bin/kvmsec.js", process.execPath);
  const copy = join(folder, "kvmsec.service");
  writeFileSync(copy, text);
  const { error, status, stderr } = spawnSync("systemd-analyze", ["verify", copy], {
    encoding: "utf8",
  });
  if (error !== undefined) return t.skip("this machine has no systemd-analyze");
  assert.deepEqual([status, stderr], [0, ""]);
  return undefined;
});
