import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readlinkSync, rmSync, writeFileSync, closeSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { diskBytes } from "../../../src/formats/disk/disk-bytes.ts";
import { pathInName } from "../../../src/files/disk-image.ts";
import { GuestDisks } from "../../../src/files/guest-disks.ts";
import { parseQemuArguments } from "../../../src/vm/qemu-command-line.ts";
import type { QemuProcess } from "../../../src/vm/qemu-process.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());

function qemuImg(...args: string[]): void {
  execFileSync("qemu-img", args, { cwd: folder.path, stdio: "pipe" });
}

function path(name: string): string {
  return join(folder.path, name);
}

/** A process that has these files open, as a QEMU has its images. */
async function holder(names: readonly string[], argv: readonly string[] = []) {
  const fds = names.map((name) => openSync(path(name), "r+"));
  const child = spawn("sleep", ["600"], { stdio: ["ignore", "ignore", "ignore", ...fds] });
  await once(child, "spawn");
  for (const fd of fds) closeSync(fd);
  const pid = child.pid!;
  const qemu: QemuProcess = {
    pid,
    startTime: 0,
    uid: 0,
    architecture: "x86_64",
    arguments: parseQemuArguments(argv),
  };
  return { qemu, [Symbol.dispose]: () => void child.kill() };
}

test("a chain of images that a process has open is one disk; its other files are none", async () => {
  folder.file("raw", Buffer.alloc(2 ** 21, "disk"));
  folder.file("log", "not a disk");
  folder.file("ram", Buffer.alloc(2 ** 21, "ram"));
  qemuImg("convert", "-O", "qcow2", "raw", "base.qcow2");
  qemuImg("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2");
  // As large as an image may be that holds next to nothing.
  execFileSync("truncate", ["-s", "2M", path("top.qcow2")]);
  const backend = `memory-backend-file,id=ram,size=2M,mem-path=${path("ram")}`;
  using held = await holder(["top.qcow2", "base.qcow2", "log", "ram"], ["-object", backend]);
  rmSync(path("raw"));
  using found = GuestDisks.ofProcess(held.qemu);
  assert.deepEqual(found.problems, []);
  assert.deepEqual(
    found.disks.map((disk) => disk.path),
    [path("top.qcow2")],
  );
  const bytes = diskBytes(found.disks[0].bytes, 0, 2 ** 21);
  assert.deepEqual(Buffer.from(bytes!), Buffer.alloc(2 ** 21, "disk"));
});

test("an image that was deleted is read all the same", async () => {
  writeFileSync(path("gone"), Buffer.alloc(2 ** 20, "gone"));
  using held = await holder(["gone"]);
  rmSync(path("gone"));
  using found = GuestDisks.ofProcess(held.qemu);
  assert.deepEqual(
    found.disks.map((disk) => disk.path),
    [path("gone")],
  );
  assert.equal(Buffer.from(diskBytes(found.disks[0].bytes, 0, 4)!).toString(), "gone");
});

test("a guest that writes an image's head into its raw disk does not lead to files of the host", async () => {
  folder.file("secret", Buffer.alloc(2 ** 21, "secret"));
  for (const name of [path("secret"), "secret", `json:{"file.filename":"${path("secret")}"}`]) {
    qemuImg("create", "-u", "-f", "qcow2", "-b", name, "-F", "raw", "forged", "2M");
    execFileSync("truncate", ["-s", "2M", path("forged")]);
    using held = await holder(["forged"]);
    using found = GuestDisks.ofProcess(held.qemu);
    assert.deepEqual(found.disks, []);
    assert.match(found.problems.join(), /which QEMU has not open/);
    const fds = execFileSync("ls", [`/proc/${process.pid}/fd`], { encoding: "utf8" }).split("\n");
    assert.ok(fds.filter(Boolean).every((fd) => !links(fd).includes("secret")));
  }
});

function links(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

test("images that the user names are followed to what they stand on", () => {
  folder.file("lower", Buffer.alloc(2 ** 20, "low"));
  qemuImg("create", "-f", "qcow2", "-b", "lower", "-F", "raw", "upper");
  using found = GuestDisks.ofFiles([path("upper"), path("missing")]);
  assert.deepEqual(found.problems, [`${path("missing")}: ENOENT`]);
  const [disk] = found.disks;
  assert.equal(Buffer.from(diskBytes(disk.bytes, 0, 3)!).toString(), "low");
});

test("images that stand upon one another in a circle end", () => {
  qemuImg("create", "-u", "-f", "qcow2", "-b", "circle-b", "-F", "qcow2", "circle-a", "2M");
  qemuImg("create", "-u", "-f", "qcow2", "-b", "circle-a", "-F", "qcow2", "circle-b", "2M");
  using found = GuestDisks.ofFiles([path("circle-a")]);
  assert.deepEqual(found.disks, []);
});

test("the names that images give others", () => {
  assert.equal(pathInName("/a/b.qcow2"), "/a/b.qcow2");
  assert.equal(pathInName("file:b"), "b");
  assert.equal(
    pathInName('json:{"driver":"qcow2","file":{"driver":"file","filename":"/x"}}'),
    "/x",
  );
  assert.equal(pathInName('json:{"file.filename":"/y"}'), "/y");
  for (const none of ["rbd:pool/image", "nbd://host/x", "json:{", "json:[]", ""]) {
    assert.equal(pathInName(none), undefined);
  }
});
