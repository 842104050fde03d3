import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../../src/vm/guest.ts";
import { CopiedMemory } from "../../fixtures/copied-memory.ts";
import { MutationStand } from "./images.ts";
import type { Fault } from "./images.ts";

export type MutationJob = {
  readonly pid: number;
  readonly images: number;
  readonly seed: number;
  readonly thin: number;
  /** Two words, where the one who waits sees which image and which subject it is at. */
  readonly at: SharedArrayBuffer;
};

export type MutationResult = {
  readonly faults: readonly Fault[];
  readonly subjects: readonly string[];
  /** Damaged kernels that were not taken for one. */
  readonly refused: number;
  readonly most: ReadonlyMap<string, number>;
};

/** More of them say nothing new. */
const MOST_FAULTS = 20;

/** So often it is made sure that no damage is remembered. */
const HEALTHY_EVERY = 500;

async function work({ pid, images, seed, thin, at }: MutationJob): Promise<MutationResult> {
  const place = new Int32Array(at);
  using guest = await attach(`pid:${pid}`, { noCache: true });
  using memory = new CopiedMemory(guest.memory);
  const stand = new MutationStand(memory, thin);
  for (let image = seed; image < seed + images && stand.faults.length < MOST_FAULTS; image++) {
    stand.run(image, (...where) => place.set(where));
    if (image % HEALTHY_EVERY === 0) stand.compareWithHealthy(image);
  }
  stand.compareWithHealthy(seed + images);
  const names = stand.subjects.map(({ name }) => name);
  return { faults: stand.faults, subjects: names, refused: stand.refused, most: stand.most };
}

parentPort?.postMessage(await work(workerData as MutationJob), []);
