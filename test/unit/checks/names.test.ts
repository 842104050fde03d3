import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { explainingRuntime } from "../../../src/checks/code-runtimes.ts";
import { borrowedName, isDaemonName, seemingName } from "../../../src/checks/known-daemons.ts";

test("daemons under the names and programs that distributions give them are themselves", () => {
  const pairs: readonly (readonly [title: string, program: string])[] = [
    ["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", "sshd"],
    ["sshd: alice [priv]", "sshd"],
    ["sshd-session: alice@pts/0", "sshd-session"],
    ["/lib/systemd/systemd-udevd", "udevadm"],
    ["/lib/systemd/systemd-udevd", "systemd-udevd"],
    ["/lib/systemd/systemd-resolved", "systemd-resolved"],
    ["/sbin/init", "systemd"],
    ["(sd-pam)", "systemd"],
    ["/usr/sbin/cron", "cron"],
    ["/usr/sbin/CRON", "cron"],
    ["crond", "busybox"],
    ["nginx: worker process", "nginx"],
    ["/usr/sbin/rsyslogd", "rsyslogd"],
    ["/sbin/agetty", "agetty"],
    ["containerd", "k3s"],
    ["/usr/sbin/apache2", "apache2"],
    ["/usr/bin/dbus-daemon", "dbus-daemon"],
    ["-bash", "bash"],
    ["/usr/sbin/nginx", "qemu-aarch64-static"],
  ];
  for (const [title, program] of pairs)
    assert.equal(borrowedName(title, program), undefined, title);
});

test("another program under a daemon's name is told", () => {
  assert.equal(borrowedName("sshd: root@pts/0", "nc"), "sshd");
  assert.equal(borrowedName("/usr/sbin/apache2 -k start", "perl"), "apache2");
  assert.equal(borrowedName("/lib/systemd/systemd-journald", "bash"), "systemd-journald");
  assert.equal(borrowedName("polkitd", "sshd"), "polkitd");
});

test("names that look like others are read as these, and plain ones are themselves", () => {
  assert.equal(seemingName("\u0455shd"), "sshd");
  assert.equal(seemingName("ss\u200bhd"), "sshd");
  assert.equal(seemingName(" cron"), "cron");
  assert.equal(seemingName("ｎｇｉｎｘ"), "nginx");
  for (const name of ["sshd", "Web Content", "kworker/0:1", "postgres", ""]) {
    assert.equal(seemingName(name), undefined);
  }
});

test("any text is taken for a name", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 32 }), (text) => {
      assert.equal(typeof isDaemonName(text), "boolean");
      assert.equal(typeof (borrowedName(text, text) ?? ""), "string");
      assert.equal(typeof (seemingName(text) ?? ""), "string");
    }),
  );
});

test("a runtime explains areas of the sizes that it makes, from where programs are installed", () => {
  const pcre = "/usr/lib/x86_64-linux-gnu/libpcre2-8.so.0.11.2";
  assert.equal(explainingRuntime([pcre], 65_536), "PCRE");
  assert.equal(explainingRuntime([pcre], 4096), undefined);
  assert.equal(explainingRuntime(["/tmp/libpcre2-8.so.0"], 65_536), undefined);
  assert.equal(explainingRuntime(["/usr/bin/node"], 12_288), "V8");
  assert.equal(explainingRuntime(["/usr/bin/node (deleted)"], 12_288), "V8");
  assert.equal(explainingRuntime(["/usr/sbin/sshd"], 65_536), undefined);
});
