import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import { kernel } from "../harness/debian-kernel.ts";
import { bootTiny } from "../harness/guest.ts";
import type { Guest } from "../harness/guest.ts";
import { populate, populationModules } from "../harness/populate.ts";
import { subjects } from "./subjects.ts";
import type { MutationResult } from "./worker.ts";

/** No look takes a hundredth of this even on a busy machine: one that does never ends. */
const STUCK_MS = 180_000;

/** A stopped guest with something in it for every view. */
export async function bootMutationGuest(release: string): Promise<Guest> {
  const guest = await bootTiny({
    kernel: await kernel({ release, flavour: "cloud" }),
    modules: populationModules,
  });
  await populate(guest, ["odd-processes", "odd-sockets", "odd-files", "system"]);
  await guest.qmp("stop");
  return guest;
}

export type MutationRun = {
  readonly images: number;
  /** Number of the first image; 1 unless told. */
  readonly seed?: number;
  /** Of those whose reading is not damaged, only one in so many looks; all in their turn unless told. */
  readonly thin?: number;
  /** Told now and then which image it is at. */
  readonly tell?: (place: string) => void;
};

/** Looks at damaged copies of a guest's memory, and asserts that nothing is at fault. */
export async function assertNoFault(guest: Guest, run: MutationRun): Promise<MutationResult> {
  const result = await mutate(guest.pid, run);
  assert.deepEqual(result.faults, []);
  for (const subject of result.subjects) {
    if (!subject.startsWith("check ")) assert.ok(result.most.has(subject), `${subject} was tried`);
  }
  assert.ok(result.refused > 0, "some damaged kernels are refused");
  return result;
}

/** In a thread of its own, which can be ended even while it runs in a circle. */
async function mutate(
  pid: number,
  { images, seed = 1, thin = 1, tell = () => {} }: MutationRun,
): Promise<MutationResult> {
  const at = new SharedArrayBuffer(8);
  const place = new Int32Array(at);
  const { promise, resolve, reject } = Promise.withResolvers<MutationResult>();
  const worker = new Worker(new URL("worker.ts", import.meta.url), {
    workerData: { pid, images, seed, thin, at },
  });
  worker.on("message", resolve);
  worker.on("error", reject);
  let before = "";
  const names = subjects().map(({ name }) => name);
  const watchdog = setInterval(() => {
    const now = `image ${place[0]}: ${names[place[1] ?? 0]}`;
    if (now === before) reject(new Error(`it does not end: ${now}`));
    before = now;
    tell(now);
  }, STUCK_MS);
  try {
    return await promise;
  } finally {
    clearInterval(watchdog);
    await worker.terminate();
  }
}
