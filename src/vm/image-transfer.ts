import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { KvmsecError, systemCode, usageError } from "../base/errors.ts";
import { readDocument, writeDocumentFile } from "./home.ts";
import type { Home } from "./home.ts";
import { requireDisk } from "./host-room.ts";
import { imageRecipe, recipeKey } from "./image-recipe.ts";
import { findImage, imageFiles, imageKind, openImage, placeImage } from "./images.ts";
import type { Image, ImageManifest } from "./images.ts";
import { checkedName } from "./name.ts";
import { removeTree, sweepRemains } from "./remains.ts";
import { runTool, tryTool } from "./run-tool.ts";

/** Lists the SHA-256 of each file beside it, as sha256sum(1) writes them. */
const SUMS = "SHA256SUMS";
const MEMBERS: readonly string[] = ["image.json", ...imageFiles, SUMS];

/** Packs an image into one file, a tar archive, for another host. Throws KVMSEC_FILE_EXISTS. */
export async function exportImage(
  home: Home,
  name: string,
  file: string,
  signal?: AbortSignal,
): Promise<Image> {
  const image = openImage(home, name);
  const path = resolve(file);
  mustNotExist(path);
  sweepRemains(home.images);
  const work = join(home.images, `.build-${name}-export-${process.pid}`);
  const partial = `${path}.${process.pid}.new`;
  mkdirSync(work, { mode: 0o700 });
  try {
    const folder = join(home.images, name);
    const inside = MEMBERS.filter((member) => member !== SUMS);
    writeFileSync(join(work, SUMS), await sums(folder, inside));
    const places = ["--directory", folder, ...inside, "--directory", work, SUMS];
    // Made by us first, so that it is its owner's alone from the beginning.
    writeFileSync(partial, "", { mode: 0o600, flag: "wx" });
    await runTool("tar", ["--create", "--file", partial, ...places], { signal });
    linkSync(partial, path);
  } catch (error) {
    if (systemCode(error) === "EEXIST") mustNotExist(path);
    throw error;
  } finally {
    rmSync(partial, { force: true });
    removeTree(work);
  }
  return image;
}

/**
 * Takes an image out of such an archive, which anybody may have written: its files have to be plain
 * ones, whole, and a disk that reaches for no other file of this host.
 * Throws KVMSEC_IMAGE_FOREIGN, KVMSEC_IMAGE_EXISTS.
 */
export async function importImage(
  home: Home,
  file: string,
  wanted: string | undefined,
  signal?: AbortSignal,
): Promise<Image> {
  const path = resolve(file);
  const size = archiveSize(path);
  requireDisk(home.images, size, "importing an image");
  sweepRemains(home.images);
  const work = join(home.images, `.build-import-${process.pid}`);
  mkdirSync(work, { mode: 0o700 });
  try {
    await unpack(path, work, signal);
    const manifest = checkedManifest(work);
    await checkSums(work);
    await checkDisk(join(work, "disk.qcow2"), manifest, signal);
    rmSync(join(work, SUMS));
    const name = checkedName(wanted ?? manifest.name);
    if (findImage(home, name) !== undefined) throw taken(name);
    writeDocumentFile(join(work, "image.json"), { ...manifest, name });
    placeImage(home, work, name);
    return openImage(home, name);
  } finally {
    removeTree(work);
  }
}

function archiveSize(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isFile() === true) return status.size;
  throw usageError("KVMSEC_FILE_MISSING", `There is no file ${path}.`);
}

/** Only by name, never over one another, and never anything but plain files with one name. */
async function unpack(path: string, work: string, signal: AbortSignal | undefined): Promise<void> {
  const how = ["--extract", "--keep-old-files", "--no-same-owner", "--no-same-permissions"];
  const args = [...how, "--file", path, "--directory", work, "--", ...MEMBERS];
  const { status, stderr } = await tryTool("tar", args, { signal });
  if (status !== 0) throw foreign(stderr.trim().split("\n")[0] ?? "tar cannot read it");
  for (const member of MEMBERS) {
    const status = lstatSync(join(work, member), { throwIfNoEntry: false });
    if (status?.isFile() !== true || status.nlink !== 1)
      throw foreign(`${member} is no plain file`);
  }
}

function checkedManifest(work: string): ImageManifest {
  const manifest = manifestOf(work);
  const { name, id, createdAt, kernelRelease, commandLine, buildMs } = manifest;
  const texts = [name, id, createdAt, kernelRelease, commandLine];
  if (!texts.every((text) => /^[ -~]{0,200}$/.test(text))) {
    throw foreign("its manifest is malformed");
  }
  const recipe = recipeOf(manifest);
  return {
    schema: "kvmsec.image/1",
    name,
    key: recipeKey(recipe),
    id,
    ...recipe,
    createdAt,
    kernelRelease,
    commandLine,
    buildMs,
  };
}

function manifestOf(work: string): ImageManifest {
  try {
    return readDocument(join(work, "image.json"), imageKind)!;
  } catch {
    throw foreign("its manifest is none");
  }
}

/** The recipe as one that could have been asked for here. */
function recipeOf({ distribution, release, kernel, packages, size }: ImageManifest) {
  try {
    return imageRecipe(distribution, { release, kernel, packages, size });
  } catch {
    throw foreign("its recipe is malformed");
  }
}

async function checkSums(work: string): Promise<void> {
  const stated = readFileSync(join(work, SUMS), "latin1");
  const found = await sums(
    work,
    MEMBERS.filter((member) => member !== SUMS),
  );
  if (stated !== found) throw foreign("its files are not those that were exported");
}

/** A qcow2 may name other files of the host as its backing or data file, and so read them. */
async function checkDisk(
  path: string,
  manifest: ImageManifest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const args = ["info", "--output=json", "-f", "qcow2", path];
  const { status, stdout } = await tryTool("qemu-img", args, { signal });
  if (status !== 0) throw foreign("its disk is no qcow2");
  const info = JSON.parse(stdout) as Record<string, unknown>;
  const details = (info["format-specific"] as { data?: Record<string, unknown> } | undefined)?.data;
  if (info["backing-filename"] !== undefined || details?.["data-file"] !== undefined) {
    throw foreign("its disk reads other files of the host");
  }
  if (info["virtual-size"] !== manifest.size)
    throw foreign("its disk has another size than it says");
}

async function sums(folder: string, names: readonly string[]): Promise<string> {
  const lines = await Promise.all(
    names.map(async (name) => `${await sha256(join(folder, name))}  ${name}\n`),
  );
  return lines.join("");
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(piece as Buffer);
  }
  return hash.digest("hex");
}

function mustNotExist(path: string): void {
  if (!existsSync(path)) return;
  throw usageError("KVMSEC_FILE_EXISTS", `${path} is there already.`, "Name another file.");
}

function taken(name: string): KvmsecError {
  return usageError(
    "KVMSEC_IMAGE_EXISTS",
    `The image ${name} is there already.`,
    "Give it another name: --name NAME",
  );
}

function foreign(why: string): KvmsecError {
  return new KvmsecError("KVMSEC_IMAGE_FOREIGN", `That file is no exported image: ${why}.`, {
    hint: "Make one with: kvmsec image export NAME FILE",
  });
}
