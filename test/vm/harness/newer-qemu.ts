import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { hostMirror, sourceLine } from "../../../src/vm/image-mirror.ts";
import { cacheDirectory, lockFile } from "./cache.ts";

const RELEASE = "trixie";
const PROGRAMS = ["qemu-system-x86_64", "qemu-img"];

/**
 * A folder, to be put in front of PATH, with the QEMU of a newer Debian release: its packages,
 * unpacked beside each other, and its programs told to find their libraries there.
 */
export async function newerQemu(): Promise<string> {
  const place = join(cacheDirectory("qemu"), RELEASE);
  await using held = new AsyncDisposableStack();
  held.use(await lockFile(`${place}.lock`));
  if (!existsSync(place)) {
    const work = mkdtempSync(`${place}.`);
    try {
      await unpack(work);
      // Their paths are in the programs from here on.
      renameSync(work, place);
      settle(place);
    } catch (error) {
      for (const folder of [work, place]) rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }
  return join(place, "programs");
}

async function unpack(folder: string): Promise<void> {
  const sources = (await hostMirror(RELEASE)).map(sourceLine);
  execFileSync(
    "mmdebstrap",
    [
      "--variant=extract",
      "--include=qemu-system-x86,qemu-utils,seabios,ipxe-qemu,patchelf",
      RELEASE,
      folder,
      ...sources,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
}

function settle(root: string): void {
  const loader = join(root, "usr/lib64/ld-linux-x86-64.so.2");
  const libraries = join(root, "usr/lib/x86_64-linux-gnu");
  const patchelf = ["--library-path", libraries, join(root, "usr/bin/patchelf")];
  const search = ["--force-rpath", "--set-rpath", `${libraries}:${libraries}/pulseaudio`];
  mkdirSync(join(root, "programs"));
  for (const name of PROGRAMS) {
    const program = join(root, "usr/bin", name);
    execFileSync(loader, [...patchelf, "--set-interpreter", loader, ...search, program]);
    symlinkSync(program, join(root, "programs", name));
  }
}
