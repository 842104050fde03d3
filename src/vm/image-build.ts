import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { FileLock } from "../native/file-lock.ts";
import { readDocument, writeDocumentFile } from "./home.ts";
import type { Home } from "./home.ts";
import { requireDisk } from "./host-room.ts";
import { compressDisk, packFileSystem } from "./image-disk.ts";
import { debianKeyring, hostAptSettings, hostMirror } from "./image-mirror.ts";
import { recipeKey } from "./image-recipe.ts";
import type { ImageRecipe } from "./image-recipe.ts";
import { makeRootArchive } from "./image-root.ts";
import {
  findImage,
  imageFiles,
  imageKind,
  listImages,
  mustBeUnused,
  openImage,
  placeImage,
} from "./images.ts";
import type { Image, ImageManifest } from "./images.ts";
import { checkedName } from "./name.ts";
import { removeTree, sweepRemains } from "./remains.ts";
import { interrupted } from "./run-tool.ts";
import { vmsOnImage } from "./vm-state.ts";

export type BuildOptions = {
  /** Builds anew although an image of the same recipe is there. */
  readonly rebuild?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Told when a stage begins. */
  readonly onStage?: (text: string) => void;
};

export type BuildResult = {
  readonly image: Image;
  /** It was there already. */
  readonly cached: boolean;
};

/** Archive, tree, raw and packed disk of a generic kernel's image side by side, with some air. */
const NEEDED_ROOM = 3 * 1024 ** 3;

/** What mmdebstrap says (`I: …`), in our words. */
const stages: readonly (readonly [RegExp, string])[] = [
  [/^I: simulat/, "checking the packages' names"],
  [/^I: running apt-get update/, "reading the archive's package lists"],
  [/^I: downloading packages/, "downloading packages"],
  [/^I: extracting archives/, "unpacking the basic system"],
  [/^I: installing essential packages/, "installing the basic system"],
  [/^I: installing remaining packages/, "installing the kernel and further packages"],
  [/^I: creating tarball/, "packing the root file system"],
];

/**
 * Makes a golden image, or finds it made. Nothing half-made stays: the image appears whole, under
 * its name, at the end. Throws KVMSEC_IMAGE_EXISTS where the name belongs to another recipe's image.
 */
export async function buildImage(
  home: Home,
  recipe: ImageRecipe,
  name: string,
  options: BuildOptions = {},
): Promise<BuildResult> {
  checkedName(name);
  using lock = await lockBuild(home, name, options);
  const key = recipeKey(recipe);
  const there = findImage(home, name);
  if (there !== undefined && options.rebuild !== true) {
    if (sameRecipe(there, recipe)) return { image: there, cached: true };
    throw taken(there);
  }
  mustBeUnused(name, vmsOnImage(home, name));
  sweepRemains(home.images);
  sweepFormerBuilds(home, name);
  const work = join(home.images, `.build-${name}-${lock.fd}-${process.pid}`);
  mkdirSync(work, { mode: 0o700 });
  try {
    const twin =
      options.rebuild === true
        ? undefined
        : // One that is damaged is nobody's twin.
          listImages(home, () => {}).find((image) => image.key === key);
    if (twin === undefined) await make(home, work, recipe, name, options);
    else copyTwin(work, twin, name);
    if (options.signal?.aborted === true) throw interrupted();
    placeImage(home, work, name);
  } finally {
    removeTree(work);
  }
  return { image: openImage(home, name), cached: false };
}

async function make(
  { logs }: Home,
  work: string,
  recipe: ImageRecipe,
  name: string,
  options: BuildOptions,
): Promise<void> {
  const { signal, onStage = () => {} } = options;
  const began = Date.now();
  requireDisk(work, NEEDED_ROOM, "building an image");
  if (process.geteuid?.() !== 0) requireDisk(tmpdir(), NEEDED_ROOM / 2, "installing its packages");
  let present = "";
  onStage(`looking for ${recipe.release} in this host's archives`);
  const sources = await hostMirror(recipe.release, signal);
  const aptSettings = await hostAptSettings(signal);
  await makeRootArchive(recipe, join(work, "root.tar"), {
    sources,
    aptSettings,
    keyring: sources.length === 0 ? debianKeyring() : undefined,
    log: join(logs, `image-${name}.log`),
    signal,
    onLine: (line) => {
      const stage = stages.find(([pattern]) => pattern.test(line))?.[1] ?? present;
      if (stage !== present) onStage(stage);
      present = stage;
    },
  });
  onStage("making the file system");
  await packFileSystem(work, recipe.size, signal);
  onStage("compressing the disk");
  await compressDisk(work, signal);
  const kernelRelease = readFileSync(join(work, "release"), "utf8");
  rmSync(join(work, "release"));
  const manifest: ImageManifest = {
    schema: "kvmsec.image/1",
    name,
    key: recipeKey(recipe),
    id: randomUUID(),
    ...recipe,
    createdAt: new Date().toISOString(),
    kernelRelease,
    commandLine: "root=/dev/vda rw console=ttyS0",
    buildMs: Date.now() - began,
  };
  writeDocumentFile(join(work, "image.json"), manifest);
}

/** The same recipe under another name: its files are never changed, so they can be shared. */
function copyTwin(work: string, twin: Image, name: string): void {
  const folder = dirname(twin.disk);
  for (const file of imageFiles) {
    linkSync(join(folder, file), join(work, file));
  }
  const path = "image.json";
  const manifest = readDocument(join(folder, path), imageKind);
  writeDocumentFile(join(work, path), { ...manifest!, name });
}

/**
 * Removes what other builds of the name left. To be called by the holder of the name's lock: there
 * is no other builder, even where a killed one, its files closed, still counts as a process.
 */
function sweepFormerBuilds({ images }: Home, name: string): void {
  const prefix = `.build-${name}-`;
  for (const entry of readdirSync(images)) {
    // A longer name may begin like this one: after it come a descriptor and a pid, no more.
    const own = entry.startsWith(prefix) && /^\d+-\d+$/.test(entry.slice(prefix.length));
    if (own) removeTree(join(images, entry));
  }
}

/** One build per name at a time: who comes second waits, and then finds the image made. */
async function lockBuild(home: Home, name: string, options: BuildOptions): Promise<FileLock> {
  const path = join(home.images, `.lock-${name}`);
  for (let waited = false; ; waited = true) {
    const lock = tryLockFile(path);
    if (lock !== undefined) return lock;
    if (options.signal?.aborted === true) throw interrupted();
    if (!waited) options.onStage?.(`waiting for another kvmsec that builds ${name}`);
    await sleep(100);
  }
}

/** Whether the user asked for the same, if of an older kvmsec: VMs may stand on it, so it stays. */
function sameRecipe(image: Image, recipe: ImageRecipe): boolean {
  const { distribution, release, kernel, packages, size } = image;
  return recipeKey({ distribution, release, kernel, packages, size }) === recipeKey(recipe);
}

function taken(image: Image): KvmsecError {
  return new KvmsecError(
    "KVMSEC_IMAGE_EXISTS",
    `The image ${image.name} is there already, made otherwise (${image.release}, ${image.kernel} kernel).`,
    {
      hint: "Choose another --name, remove it with 'kvmsec image rm', or replace it with --rebuild.",
    },
  );
}
