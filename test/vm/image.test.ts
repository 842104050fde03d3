import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { buildImage } from "../../src/vm/image-build.ts";
import { openHome } from "../../src/vm/home.ts";
import { imageRecipe } from "../../src/vm/image-recipe.ts";
import { importImage } from "../../src/vm/image-transfer.ts";
import { listImages, openImage, removeImage } from "../../src/vm/images.ts";
import type { Image } from "../../src/vm/images.ts";
import { kvmsec, refusal, startKvmsec } from "./command-line.ts";
import { goldenImage, imageCache } from "./golden-image.ts";

const scratch = mkdtempSync(join(tmpdir(), "kvmsec-image-"));
const raw = join(scratch, "disk.raw");
let image: Image;

before(async () => {
  ({ image } = await goldenImage());
  execFileSync("qemu-img", ["convert", "-O", "raw", image.disk, raw]);
});
after(() => rmSync(scratch, { recursive: true, force: true }));

function replace(path: string, make: () => void): void {
  rmSync(path);
  make();
}

/** What e2fsprogs' own debugfs says about the image's file system. */
function debugfs(request: string): string {
  return execFileSync("debugfs", ["-R", request, raw], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}

test("the disk is a sound ext4 of the wanted size, in a qcow2 that stands alone", () => {
  execFileSync("e2fsck", ["-fn", raw], { stdio: "ignore" });
  assert.equal(statSync(raw).size, image.size);
  const info = JSON.parse(
    execFileSync("qemu-img", ["info", "--output=json", image.disk], { encoding: "utf8" }),
  );
  assert.equal(info.format, "qcow2");
  assert.equal(info["format-specific"].data["compression-type"], "zstd");
  assert.equal(info["backing-filename"], undefined);
  assert.equal(info["format-specific"].data["data-file"], undefined);
});

test("the kernel and initrd beside it are those in its /boot", () => {
  for (const [copy, original] of [
    [image.vmlinuz, `/boot/vmlinuz-${image.kernelRelease}`],
    [image.initrd, `/boot/initrd.img-${image.kernelRelease}`],
  ] as const) {
    const dumped = join(scratch, "dumped");
    debugfs(`dump ${original} ${dumped}`);
    assert.deepEqual(readFileSync(copy), readFileSync(dumped));
  }
  assert.match(debugfs(`ls -p /lib/modules/${image.kernelRelease}`), /modules\.dep/);
});

test("files have the owners and modes that the packages gave them, whoever built the image", () => {
  assert.match(debugfs("stat /etc/shadow"), /Mode:\s+0640[^]*User:\s+0\s+Group:\s+42\b/);
  assert.match(debugfs("stat /usr/bin/passwd"), /Mode:\s+04755[^]*User:\s+0\b/);
});

test("it names its packages, has none of the host's secrets, and an empty machine id", () => {
  const packages = readFileSync(join(dirname(image.disk), "packages.txt"), "utf8");
  for (const name of ["systemd ", "linux-image-cloud-amd64 ", "procps "]) {
    assert.ok(packages.includes(`\n${name}`), name);
  }
  assert.match(debugfs("stat /etc/machine-id"), /Size: 0$/m);
  assert.match(debugfs("cat /etc/shadow"), /^root:[*!]/m);
});

test("nobody else can read an image or change it", () => {
  assert.equal(statSync(dirname(image.disk)).mode & 0o777, 0o700);
  for (const path of [image.disk, image.vmlinuz, image.initrd]) {
    assert.equal(statSync(path).mode & 0o777, 0o400);
  }
});

test("the second build of a recipe is the first one's image; under another name its files are shared", async () => {
  const home = imageCache();
  const again = await goldenImage();
  assert.equal(again.cached, true);
  assert.deepEqual(again.image, image);
  const stages: string[] = [];
  const twin = await buildImage(home, imageRecipe("debian", { size: image.size }), "twin-test", {
    onStage: (stage) => stages.push(stage),
  });
  try {
    assert.deepEqual(stages, []);
    assert.equal(statSync(twin.image.disk).ino, statSync(image.disk).ino);
    assert.equal(twin.image.key, image.key);
    await assert.rejects(
      buildImage(home, imageRecipe("debian", { kernel: "generic" }), "twin-test"),
      { code: "KVMSEC_IMAGE_EXISTS" },
    );
  } finally {
    removeImage(home, "twin-test", []);
  }
  assert.throws(() => openImage(home, "twin-test"), { code: "KVMSEC_IMAGE_MISSING" });
  assert.ok(statSync(image.disk).size > 0);
});

test("an interrupted build leaves nothing behind", async () => {
  const root = join(scratch, "home");
  const build = startKvmsec(root, ["image", "build", "debian", "--name", "cut"]);
  await new Promise<void>((resolve) => {
    let said = "";
    build.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("downloading packages")) resolve();
    });
  });
  const end = once(build, "exit");
  build.kill("SIGINT");
  const [status] = await end;
  assert.equal(status, 3);
  const home = openHome({ KVMSEC_HOME: root });
  assert.deepEqual(
    readdirSync(home.images).filter((name) => !name.startsWith(".lock-")),
    [],
  );
  assert.deepEqual(listImages(home), []);
});

test("a build that was killed is swept away by the next one", async () => {
  const root = join(scratch, "killed");
  const build = startKvmsec(root, ["image", "build", "debian", "--name", "killed"]);
  await once(build.stderr, "data");
  process.kill(-build.pid!, "SIGKILL");
  await once(build, "close");
  const home = openHome({ KVMSEC_HOME: root });
  // Its pid may still be there for a moment, or be another's by then: this one is somebody's.
  const left = join(home.images, `.build-killed-9-${process.pid}`);
  const others = join(home.images, `.build-killed-9-9-${process.pid}`);
  for (const folder of [left, others]) mkdirSync(folder);
  const controller = new AbortController();
  // The killed build's last child may hold its lock for a moment longer: stop only past that wait.
  const onStage = (stage: string) => {
    if (!stage.startsWith("waiting")) controller.abort();
  };
  await assert.rejects(
    buildImage(home, imageRecipe("debian"), "killed", { signal: controller.signal, onStage }),
    { code: "KVMSEC_INTERRUPTED" },
  );
  assert.deepEqual(
    readdirSync(home.images).filter((name) => name.startsWith(".build-")),
    [basename(others)],
  );
});

test("an exported image comes back the same on another host", async () => {
  const file = join(scratch, "image.tar");
  const other = join(scratch, "other-host");
  const root = imageCache().root;
  assert.equal((await kvmsec(root, "image", "export", image.name, file)).status, 0);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(
    refusal(await kvmsec(root, "image", "export", image.name, file)),
    "2 KVMSEC_FILE_EXISTS",
  );
  const result = await kvmsec(other, "image", "import", file, "--name", "moved", "--json");
  assert.equal(result.status, 0, result.stderr);
  const moved = openImage(openHome({ KVMSEC_HOME: other }), "moved");
  assert.deepEqual([moved.key, moved.kernelRelease], [image.key, image.kernelRelease]);
  for (const [copy, original] of [
    [moved.disk, image.disk],
    [moved.vmlinuz, image.vmlinuz],
    [moved.initrd, image.initrd],
  ] as const) {
    execFileSync("cmp", [copy, original]);
    assert.equal(statSync(copy).mode & 0o777, 0o400);
  }
  assert.equal(
    refusal(await kvmsec(other, "image", "import", file, "--name", "moved")),
    "2 KVMSEC_IMAGE_EXISTS",
  );
});

test("an import that reaches for the host's files, or is not whole, is refused and leaves nothing", async () => {
  const home = openHome({ KVMSEC_HOME: join(scratch, "wary-host") });
  const folder = join(scratch, "forged");
  const archive = join(scratch, "forged.tar");
  const secret = join(scratch, "secret");
  writeFileSync(secret, "host's own");
  const members = ["image.json", "disk.qcow2", "vmlinuz", "initrd.img", "packages.txt"];
  /** An archive that is sound but for one forgery. */
  const forge = async (change: (path: (name: string) => string) => void) => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const name of members) {
      if (name !== "disk.qcow2") cpSync(join(dirname(image.disk), name), join(folder, name));
    }
    execFileSync("qemu-img", [
      "create",
      "-q",
      "-f",
      "qcow2",
      join(folder, "disk.qcow2"),
      String(image.size),
    ]);
    change((name) => join(folder, name));
    execFileSync("sh", ["-c", `sha256sum ${members.join(" ")} > SHA256SUMS`], { cwd: folder });
    execFileSync("tar", ["-cf", archive, "-C", folder, "SHA256SUMS", ...members]);
    return importImage(home, archive, "forged");
  };
  const refused = { code: "KVMSEC_IMAGE_FOREIGN" };
  await forge(() => {});
  removeImage(home, "forged", []);
  await assert.rejects(
    forge((path) => {
      const disk = path("disk.qcow2");
      replace(disk, () =>
        execFileSync("qemu-img", [
          "create",
          "-q",
          "-u",
          "-f",
          "qcow2",
          "-F",
          "raw",
          "-b",
          secret,
          disk,
          String(image.size),
        ]),
      );
    }),
    refused,
  );
  await assert.rejects(
    forge((path) => {
      const disk = path("disk.qcow2");
      replace(disk, () =>
        execFileSync("qemu-img", [
          "create",
          "-q",
          "-f",
          "qcow2",
          "-o",
          `data_file=${secret}2,data_file_raw=on`,
          disk,
          String(image.size),
        ]),
      );
    }),
    refused,
  );
  await assert.rejects(
    forge((path) => replace(path("vmlinuz"), () => symlinkSync(secret, path("vmlinuz")))),
    refused,
  );
  await assert.rejects(
    forge((path) => writeFileSync(path("disk.qcow2"), "not a disk")),
    refused,
  );
  await assert.rejects(
    forge((path) => writeFileSync(path("image.json"), '{"schema":"kvmsec.image/1"}')),
    refused,
  );
  await assert.rejects(
    forge((path) => {
      const manifest = JSON.parse(readFileSync(path("image.json"), "utf8"));
      writeFileSync(path("image.json"), JSON.stringify({ ...manifest, kernelRelease: "a\nb" }));
    }),
    refused,
  );
  execFileSync("sh", ["-c", "echo x >> packages.txt; tar -cf ../forged.tar *"], { cwd: folder });
  await assert.rejects(importImage(home, archive, "forged"), refused);
  writeFileSync(archive, "no archive at all");
  await assert.rejects(importImage(home, archive, "forged"), refused);
  await assert.rejects(importImage(home, join(scratch, "none"), "forged"), {
    code: "KVMSEC_FILE_MISSING",
  });
  assert.deepEqual(
    readdirSync(home.images).filter((name) => !name.startsWith(".lock-")),
    [],
  );
  assert.equal(readFileSync(secret, "utf8"), "host's own");
});

test("mistakes are told with their code and exit status, and JSON is one document", async () => {
  const root = imageCache().root;
  const build = (...args: string[]) => kvmsec(root, "image", "build", ...args);
  assert.equal(refusal(await build("windows")), "2 KVMSEC_IMAGE_RECIPE");
  assert.equal(refusal(await build("debian", "--release", "no/such")), "2 KVMSEC_IMAGE_RECIPE");
  assert.equal(refusal(await build("debian", "--release", "nosuch")), "3 KVMSEC_IMAGE_RELEASE");
  assert.equal(refusal(await build("debian", "--name", "../x")), "2 KVMSEC_NAME_INVALID");
  assert.equal(refusal(await kvmsec(root, "image", "rm", "nosuch")), "3 KVMSEC_IMAGE_MISSING");
  const listed = JSON.parse((await kvmsec(root, "image", "list", "--json")).stdout);
  assert.equal(listed.schema, "kvmsec.images/1");
  const own = listed.images.find(({ name }: { name: string }) => name === image.name);
  assert.equal(own.kernelRelease, image.kernelRelease);
  assert.equal(basename(own.disk), "disk.qcow2");
});

test("a package that the release does not have is named", async () => {
  await assert.rejects(
    buildImage(imageCache(), imageRecipe("debian", { packages: ["no-such-thing"] }), "bad-test"),
    { code: "KVMSEC_IMAGE_PACKAGE", message: /no-such-thing/ },
  );
});
