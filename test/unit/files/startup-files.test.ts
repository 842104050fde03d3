import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { diff } from "../../../src/baseline/diff.ts";
import type { Difference } from "../../../src/baseline/diff.ts";
import type { Item } from "../../../src/baseline/observe.ts";
import { DiskFile } from "../../../src/files/disk-file.ts";
import { DiskTree } from "../../../src/files/disk-tree.ts";
import { logFiles, startupFiles, startupTechnique } from "../../../src/files/startup-files.ts";
import { ExtFileSystem } from "../../../src/formats/ext/file-system.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const FILES: Readonly<Record<string, string>> = {
  "etc/crontab": "17 * * * * root run-parts /etc/cron.hourly",
  "etc/pam.d/sshd": "auth required pam_unix.so",
  "etc/systemd/system/masked.service": "->/dev/null",
  "etc/other.conf": "not looked at",
  "home/user/.bashrc": "umask 022",
  "root/.ssh/authorized_keys": "ssh-ed25519 AAAA one",
  "var/log/wtmp": "x".repeat(4000),
};

/** What is seen of a disk with these files, as a baseline has it. */
function seen(t: TestContext, files: Readonly<Record<string, string>>): Item[] {
  const folder = new TemporaryFolder();
  const root = join(folder.path, "root");
  for (const [path, content] of Object.entries(files)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (content.startsWith("->")) symlinkSync(content.slice(2), full);
    else writeFileSync(full, content);
  }
  if (files["etc/crontab"] !== undefined) chmodSync(join(root, "etc/crontab"), 0o644);
  const image = folder.file("disk", "");
  truncateSync(image, 4 * 2 ** 20);
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-d", root, image], { stdio: "pipe" });
  const disk = DiskFile.open(image);
  t.after(() => {
    disk[Symbol.dispose]();
    folder[Symbol.dispose]();
  });
  const fileSystem = ExtFileSystem.open(disk);
  const tree =
    typeof fileSystem === "string" ? assert.fail(fileSystem) : new DiskTree("/", fileSystem);
  return [
    ...Array.from(startupFiles(tree, assert.fail), ({ path, value }): Item => {
      return { kind: "startup", key: path, value };
    }),
    // Its number would differ between two disks: here it is one file.
    ...Array.from(logFiles(tree), ({ path, size }): Item => {
      return { kind: "log", key: path, value: `12 ${size}` };
    }),
  ];
}

test("what runs at boot and at login is seen, links and homes too, and nothing else", (t) => {
  const items = seen(t, FILES);
  assert.deepEqual(
    items.map(({ key }) => key),
    [
      "/etc/crontab",
      "/etc/systemd/system/masked.service",
      "/etc/pam.d/sshd",
      "/root/.ssh/authorized_keys",
      "/home/user/.bashrc",
      "/var/log/wtmp",
    ],
  );
  assert.match(items[0].value, /^0644 0:0 [0-9a-f]{16}$/);
  assert.equal(items[1].value, "-> /dev/null");
});

const CHANGES: readonly (readonly [path: string, content: string, technique: string])[] = [
  ["/etc/cron.d/job", "* * * * * root /usr/local/bin/job", "T1053.003"],
  ["/var/spool/cron/crontabs/root", "@reboot /usr/local/bin/job", "T1053.003"],
  ["/etc/systemd/system/job.service", "[Service]\nExecStart=/usr/local/bin/job", "T1543.002"],
  ["/etc/systemd/system/job.timer", "[Timer]\nOnBootSec=1", "T1543.002"],
  ["/etc/rc.local", "/usr/local/bin/job &", "T1037.004"],
  ["/etc/udev/rules.d/90-job.rules", 'RUN+="/usr/local/bin/job"', "T1546.017"],
  ["/etc/pam.d/sshd", "auth sufficient pam_permit.so", "T1556.003"],
  ["/usr/lib/x86_64-linux-gnu/security/pam_job.so", "\x7fELF", "T1556.003"],
  ["/root/.ssh/authorized_keys", "ssh-ed25519 AAAA two", "T1098.004"],
  ["/etc/profile.d/job.sh", "/usr/local/bin/job &", "T1546.004"],
  ["/home/user/.bashrc", "/usr/local/bin/job &", "T1546.004"],
  ["/etc/ld.so.preload", "/usr/lib/job.so", "T1574.006"],
  ["/etc/modules-load.d/job.conf", "job", "T1547.006"],
  ["/boot/initrd.img-6.1", "another", "T1542"],
];

test("whatever is put where it will be run is told against the baseline, by its technique", (t) => {
  const known = seen(t, FILES);
  const added = Object.fromEntries(CHANGES.map(([path, content]) => [path.slice(1), content]));
  const found = diff(known, { items: seen(t, { ...FILES, ...added }), gaps: new Map() });
  assert.deepEqual(
    found.map(({ key }) => key).toSorted(),
    CHANGES.map(([path]) => path).toSorted(),
  );
  for (const [path, , technique] of CHANGES) assert.equal(startupTechnique(path), technique, path);
  assert.deepEqual(diff(known, { items: seen(t, FILES), gaps: new Map() }), []);
});

test("a log that got shorter is told; one that grew, or gave way to another, is not", (t) => {
  const known = seen(t, FILES);
  const now = (value: string): Difference[] => {
    const others = known.filter(({ kind }) => kind !== "log");
    const items: Item[] = [...others, { kind: "log", key: "/var/log/wtmp", value }];
    return diff(known, { items, gaps: new Map() });
  };
  assert.deepEqual(now("12 8000"), []);
  assert.deepEqual(now("13 400"), []);
  assert.equal(now("12 384")[0].change, "changed");
  const wiped = diff(known, { items: seen(t, { ...FILES, "var/log/wtmp": "x" }), gaps: new Map() });
  assert.deepEqual(
    wiped.map(({ kind, change }) => `${kind} ${change}`),
    ["log changed"],
  );
});
