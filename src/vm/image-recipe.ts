import { createHash } from "node:crypto";
import { usageError } from "../base/errors.ts";

/** What goes into a golden image. Two equal recipes make the same image, up to package updates. */
export type ImageRecipe = {
  readonly distribution: "debian";
  /** `bookworm`, `trixie`, …, `sid`; `bookworm-backports` takes the kernel from there. */
  readonly release: string;
  /** `cloud`, `generic`, or a linux-image package by name. */
  readonly kernel: string;
  /** Wanted beside the basic ones; sorted. */
  readonly packages: readonly string[];
  /** Bytes of the guest's disk. */
  readonly size: number;
};

/** To be raised whenever the same recipe would make another image. */
const RECIPE_VERSION = 3;

const DEFAULT_SIZE = 4 * 1024 ** 3;
const MIN_SIZE = 1024 ** 3;

/** What every image has: an init, devices, login, network and the tools to look around. */
const basicPackages: readonly string[] = [
  "systemd-sysv",
  // What guest-setup.ts configures; a release's own choice may be dracut.
  "initramfs-tools",
  "udev",
  "dbus",
  "kmod",
  "login",
  "procps",
  "iproute2",
];

export type RecipeOptions = {
  release?: string | undefined;
  kernel?: string | undefined;
  packages?: readonly string[] | undefined;
  size?: number | undefined;
};

/** A recipe from what the user asked for. Throws KVMSEC_IMAGE_RECIPE. */
export function imageRecipe(distribution: string, options: RecipeOptions = {}): ImageRecipe {
  if (distribution !== "debian") {
    throw invalid(`kvmsec cannot build ${JSON.stringify(distribution)} images`, "Build 'debian'.");
  }
  const { release = "bookworm", kernel = "cloud", packages = [], size = DEFAULT_SIZE } = options;
  if (!/^[a-z]+(-backports)?$/.test(release)) {
    throw invalid(
      `${JSON.stringify(release)} is no Debian release`,
      "Name one by its codename: bookworm, trixie, sid, bookworm-backports.",
    );
  }
  if (!/^(cloud|generic|linux-image-[a-z0-9.+-]+)$/.test(kernel)) {
    throw invalid(
      `${JSON.stringify(kernel)} is no kernel`,
      "Choose cloud, generic, or the name of a linux-image package.",
    );
  }
  const wrong = packages.find((name) => !/^[a-z0-9][a-z0-9.+-]+$/.test(name));
  if (wrong !== undefined) {
    throw invalid(`${JSON.stringify(wrong)} is no package name`, "Write --packages htop,strace.");
  }
  if (size < MIN_SIZE) throw invalid("A disk of less than 1 GiB cannot hold Debian", "--size 4G");
  return { distribution, release, kernel, packages: [...new Set(packages)].toSorted(), size };
}

function invalid(what: string, hint: string) {
  return usageError("KVMSEC_IMAGE_RECIPE", `${what}.`, hint);
}

/** Names this recipe's result: two recipes with one key make interchangeable images. */
export function recipeKey(recipe: ImageRecipe): string {
  const text = JSON.stringify([
    RECIPE_VERSION,
    recipe.distribution,
    recipe.release,
    recipe.kernel,
    recipe.packages,
    recipe.size,
  ]);
  return createHash("sha256").update(text).digest("hex");
}

/** The name that an image gets when the user gives none. */
export function defaultImageName(recipe: ImageRecipe): string {
  const kernel = recipe.kernel.replace(/^linux-image-/, "");
  const digest = recipe.packages.length === 0 ? "" : `-${recipeKey(recipe).slice(0, 6)}`;
  return (
    `${recipe.distribution}-${recipe.release}-${kernel}`.slice(0, 33).replace(/[^a-z0-9]+$/, "") +
    digest
  );
}

/** The release without its backports. */
export function baseRelease(recipe: ImageRecipe): string {
  return recipe.release.replace(/-backports$/, "");
}

/** The kernel's package, with `/RELEASE` where apt has to be told to take it from there. */
export function kernelPackage(recipe: ImageRecipe): string {
  const name =
    recipe.kernel === "cloud"
      ? "linux-image-cloud-amd64"
      : recipe.kernel === "generic"
        ? "linux-image-amd64"
        : recipe.kernel;
  return recipe.release.endsWith("-backports") ? `${name}/${recipe.release}` : name;
}

/** Every package that apt is asked for. */
export function wantedPackages(recipe: ImageRecipe): string[] {
  return [kernelPackage(recipe), ...basicPackages, ...recipe.packages];
}
