import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { attach } from "../../src/vm/guest.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import { bootDebian } from "../vm/harness/debian-guest.ts";
import type { Guest } from "../vm/harness/guest.ts";

/** What servers run, what compiles while it runs, and what looks into others. */
const PACKAGES = [
  "openssh-server cron at rsyslog polkitd udisks2 packagekit avahi-daemon exim4-daemon-light",
  "nginx-light apache2-bin postgresql podman crun bubblewrap systemd-container sudo libpam-systemd",
  "nodejs python3-cffi python3-gi php-cli luajit mono-runtime libmono-system-core4.0-cil ruby",
  "pypy3 guile-3.0 sbcl qemu-user valgrind gdb strace perl gawk busybox iptables gpg screen tmux",
  "unattended-upgrades",
].flatMap((line) => line.split(" "));

/** Trixie's Java cannot be set up in an image without manual pages. */
const guests = [
  { release: "bookworm", packages: [...PACKAGES, "openjdk-17-jre-headless"] },
  { release: "trixie", packages: PACKAGES },
] as const;

/** Not every release has all of what they need. */
const LEAST_RUNNING = 14;

/** A guest without hardware support, on a busy machine, takes its time. */
const PATIENCE = 900_000;

/** Each runs on in the background. */
const PROGRAMS: readonly string[] = [
  `node -e 'const f = (x) => { let s = 0; for (let i = 0; i < 1e6; i++) s += i * x; return s; }; for (let i = 0; i < 30; i++) f(i); setInterval(() => f(3), 2000)'`,
  `! command -v rmiregistry || exec rmiregistry`,
  `python3 -c 'import ctypes, time, cffi
cb = [ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x) for _ in range(50)]
ffi = cffi.FFI()
again = ffi.callback("int(int)", lambda x: x)
time.sleep(1e6)'`,
  `luajit -e 'local function f(x) local s = 0 for i = 1, 1e6 do s = s + i * x end return s end for i = 1, 100 do f(i) end os.execute("sleep 1000000")'`,
  `php -d opcache.enable_cli=1 -d opcache.jit_buffer_size=8M -d opcache.jit=tracing -r 'function f($x) { $s = 0; for ($i = 0; $i < 1e6; $i++) $s += $i * $x; return $s; } for ($i = 0; $i < 10; $i++) f($i); preg_match("/(a|b)+c/", "abc"); sleep(1000000);'`,
  `pypy3 -c 'import time
f = lambda x: sum(i * x for i in range(1000000))
f(3); f(4); time.sleep(1e6)'`,
  `ruby --yjit -e 'def f(x) x + 1 end; 1000000.times { |i| f(i) }; sleep'`,
  `guile -c '(define (f x) (if (= x 0) 0 (f (- x 1)))) (f 10000000) (sleep 1000000)'`,
  `sbcl --noinform --eval '(sleep 1000000)'`,
  `qemu-x86_64 /usr/bin/sleep 1000000`,
  `valgrind /usr/bin/sleep 1000000`,
  `strace -o /dev/null sleep 1000000`,
  `gdb -q -batch -ex 'set breakpoint pending on' -ex 'break getpid' -ex run --args sleep 1000000`,
  `bwrap --ro-bind / / --proc /proc --dev /dev --unshare-all sleep 1000000`,
  `setpriv --reuid=1000 --clear-groups unshare -Urpf --mount-proc sleep 1000000`,
  `systemd-nspawn -q --register=no --keep-unit -D / --ephemeral --read-only sleep 1000000`,
  `setpriv --reuid=1000 --regid=1000 --clear-groups --ambient-caps +setuid --inh-caps +setuid sleep 1000000`,
  `LD_PRELOAD=libc.so.6 sleep 1000000`,
];

for (const { release, packages } of guests) {
  test(`daemons, runtimes, debuggers and containers are silent: ${release}`, async (t) => {
    await using booted = await bootDebian({ release, packages, ram: "file", memory: "2G" });
    const { guest } = booted;
    const look = await sweeper(guest);
    await t.test("Debian as it booted", () => assertSilent(t, look()));
    await t.test("with daemons and programs that run on", async () => {
      await guest.run("ssh-keygen -A; systemctl start ssh cron atd nginx postgresql; sleep 5", {
        timeout: PATIENCE,
      });
      const pids: string[] = [];
      for (const [index, program] of PROGRAMS.entries()) {
        await guest.put(`/root/run-${index}`, program);
        const start = `setsid sh /root/run-${index} >/dev/null 2>&1 </dev/null & echo $!`;
        pids.push((await guest.run(start)).trim());
      }
      await guest.run("sleep 60", { timeout: PATIENCE });
      assertSilent(t, look());
      const alive = await guest.run(
        `for pid in ${pids.join(" ")}; do test -d /proc/$pid && echo $pid; done; true`,
      );
      const running = new Set(alive.trim().split("\n"));
      const ended = PROGRAMS.filter((_, index) => !running.has(pids[index]!));
      t.diagnostic(`not there any more: ${ended.join("; ") || "none"}`);
      assert.ok(PROGRAMS.length - ended.length >= LEAST_RUNNING);
    });
    await t.test("while libraries are replaced under running programs", async () => {
      await guest.run(
        `for file in /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/lib/x86_64-linux-gnu/libcrypto.so.3 /usr/sbin/nginx; do
        cp -a $file $file.new && mv $file.new $file
      done; systemctl restart cron; sleep 2`,
        { timeout: PATIENCE },
      );
      assertSilent(t, look());
    });
    await t.test("while user probes are set", async () => {
      await guest.run(
        `cd /sys/kernel/tracing || exit 1
        offset=$(objdump -T /usr/lib/x86_64-linux-gnu/libc.so.6 2>/dev/null | awk '/ getpid$/{print "0x" $1}')
        [ -n "$offset" ] || offset=$(python3 -c 'import ctypes
at = ctypes.cast(ctypes.CDLL("libc.so.6").getpid, ctypes.c_void_p).value
print(hex(at - min(int(line.split("-")[0], 16) for line in open("/proc/self/maps") if "libc.so.6" in line)))')
        echo "p:kvmsec/probe /usr/lib/x86_64-linux-gnu/libc.so.6:$offset" > uprobe_events
        echo 1 > events/kvmsec/enable; systemctl restart cron; sleep 2`,
        { timeout: PATIENCE },
      );
      assertSilent(t, look());
    });
  });
}

async function sweeper(guest: Guest) {
  const attached = await attach(`pid:${guest.pid}`);
  const files = findKernelFiles(attached, { kernelFile: guest.options.kernel.vmlinuz });
  const processors = await readProcessors(attached);
  return () => sweep(attached.kernel, checks, { ...files, ...processors });
}

type Looked = ReturnType<Awaited<ReturnType<typeof sweeper>>>;

/** Nothing is found; what could not be looked at is told. */
function assertSilent(t: TestContext, { findings, checks: results }: Looked): void {
  for (const { id, status, reason } of results) {
    if (status !== "pass") t.diagnostic(`${id}: ${status}: ${reason}`);
  }
  assert.deepEqual(findings, []);
}
