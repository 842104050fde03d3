import { codePlants } from "./code-plants.ts";
import { credentialPlants } from "./credential-plants.ts";
import { disguisePlants } from "./disguise-plants.ts";
import { hiddenPlants } from "./hidden-plants.ts";
import type { ProcessPlant } from "./process-plant.ts";

/** Every tampering with user processes that the tests know, for one guest. */
export const processPlants: readonly ProcessPlant[] = [
  ...credentialPlants,
  ...codePlants,
  ...disguisePlants,
  ...hiddenPlants,
];
