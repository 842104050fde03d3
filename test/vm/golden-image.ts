import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openHome } from "../../src/vm/home.ts";
import type { Home } from "../../src/vm/home.ts";
import { buildImage } from "../../src/vm/image-build.ts";
import type { BuildResult } from "../../src/vm/image-build.ts";
import { defaultImageName, imageRecipe, recipeKey } from "../../src/vm/image-recipe.ts";
import type { RecipeOptions } from "../../src/vm/image-recipe.ts";
import { cacheDirectory } from "./harness/cache.ts";

/** Letters of a name (src/vm/name.ts). */
const MAX_NAME = 40;

/** The home where images for tests are built once and kept. */
export function imageCache(): Home {
  return openHome({ KVMSEC_HOME: cacheDirectory("home") });
}

/** A golden image out of the cache, built where it is missing. */
export function goldenImage(options: RecipeOptions = {}): Promise<BuildResult> {
  const recipe = imageRecipe("debian", { size: 2 * 2 ** 30, ...options });
  // The key holds the recipe's version, so that a changed recipe is tried out.
  const key = recipeKey(recipe).slice(0, 6);
  const name = `${defaultImageName(recipe).slice(0, MAX_NAME - key.length - 1)}-${key}`;
  return buildImage(imageCache(), recipe, name);
}

/** A home of its own for a test's VMs, with the cached image in it. */
export type TestHome = Home & Disposable & { readonly image: string };

export async function testHome(options: RecipeOptions = {}): Promise<TestHome> {
  const { image } = await goldenImage(options);
  const root = mkdtempSync(join(tmpdir(), "kvmsec-home-"));
  const home = openHome({ KVMSEC_HOME: root });
  symlinkSync(join(imageCache().images, image.name), join(home.images, image.name));
  return {
    ...home,
    image: image.name,
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}
