import { chmodSync, existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { KvmsecError } from "../base/errors.ts";
import { readDocument, readEach } from "./home.ts";
import type { Damage, Home } from "./home.ts";
import type { ImageRecipe } from "./image-recipe.ts";
import { checkedName, nameShape } from "./name.ts";
import { removeTree } from "./remains.ts";

/** What image.json says. */
export type ImageManifest = ImageRecipe & {
  readonly schema: "kvmsec.image/1";
  readonly name: string;
  /** Of the recipe: images with one key are interchangeable. */
  readonly key: string;
  /** Of this one making: a VM's disk fits no other image, not even one of the same recipe. */
  readonly id: string;
  readonly createdAt: string;
  readonly kernelRelease: string;
  /** The kernel's command line, to which the guest's own options are added. */
  readonly commandLine: string;
  /** How long its making took. */
  readonly buildMs: number;
};

export const imageKind: DocumentKind<ImageManifest> = documentKind("kvmsec.image/1", {
  name: nameShape,
  key: z.string(),
  id: z.string(),
  distribution: z.literal("debian"),
  release: z.string(),
  kernel: z.string(),
  packages: z.array(z.string()),
  size: z.int().positive(),
  createdAt: z.string(),
  kernelRelease: z.string(),
  commandLine: z.string(),
  buildMs: z.number(),
});

/** What an image consists of beside its manifest. */
export const imageFiles: readonly string[] = [
  "disk.qcow2",
  "vmlinuz",
  "initrd.img",
  "packages.txt",
];

/** A golden image on this host. */
export type Image = ImageManifest & {
  readonly disk: string;
  readonly vmlinuz: string;
  readonly initrd: string;
  /** Bytes that its files take on the host. */
  readonly bytes: number;
};

/** All images, by name. One whose manifest is damaged is told to `damage`, or thrown. */
export function listImages(home: Home, damage?: Damage): Image[] {
  return readEach(imageNames(home), (name) => findImage(home, name), damage);
}

function imageNames(home: Home): string[] {
  return readdirSync(home.images)
    .filter((name) => !name.startsWith("."))
    .toSorted();
}

/** The image of that name, or undefined. */
export function findImage(home: Home, name: string): Image | undefined {
  const folder = join(home.images, checkedName(name));
  const manifest = readDocument(join(folder, "image.json"), imageKind);
  if (manifest === undefined) return undefined;
  const disk = join(folder, "disk.qcow2");
  const vmlinuz = join(folder, "vmlinuz");
  const initrd = join(folder, "initrd.img");
  const bytes = [disk, vmlinuz, initrd].reduce(
    (sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512,
    0,
  );
  return { ...manifest, name, disk, vmlinuz, initrd, bytes };
}

/** The image of that name; throws KVMSEC_IMAGE_MISSING. */
export function openImage(home: Home, name: string): Image {
  const image = findImage(home, name);
  if (image !== undefined && existsSync(image.disk)) return image;
  const others = imageNames(home);
  throw new KvmsecError("KVMSEC_IMAGE_MISSING", `There is no image ${name}.`, {
    hint:
      others.length === 0
        ? "Make one: kvmsec image build debian"
        : `There are: ${others.join(", ")}. 'kvmsec image build debian' makes another.`,
  });
}

/** Puts a finished folder in an image's place at one stroke. */
export function placeImage(home: Home, built: string, name: string): void {
  for (const file of imageFiles) chmodSync(join(built, file), 0o400);
  const place = join(home.images, checkedName(name));
  const former = existsSync(place) ? `${built}-former` : undefined;
  if (former !== undefined) renameSync(place, former);
  renameSync(built, place);
  if (former !== undefined) removeTree(former);
}

/** Throws KVMSEC_IMAGE_IN_USE where VMs (`users`: their names) stand on the image. */
export function mustBeUnused(name: string, users: readonly string[]): void {
  if (users.length === 0) return;
  const [vms, stand, them] =
    users.length === 1 ? ["The VM", "stands", "it"] : ["The VMs", "stand", "them"];
  throw new KvmsecError(
    "KVMSEC_IMAGE_IN_USE",
    `${vms} ${users.join(", ")} ${stand} on the image ${name}.`,
    { hint: `Delete ${them} first: kvmsec vm delete ${users[0]}` },
  );
}

/** Removes an image that no VM stands on (`users`: their names); throws KVMSEC_IMAGE_IN_USE, KVMSEC_IMAGE_MISSING. */
export function removeImage(home: Home, name: string, users: readonly string[]): Image {
  const image = openImage(home, name);
  mustBeUnused(name, users);
  const doomed = join(home.images, `.build-${name}-removed-${process.pid}`);
  renameSync(join(home.images, name), doomed);
  removeTree(doomed);
  return image;
}
