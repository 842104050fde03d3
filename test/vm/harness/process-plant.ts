import type { Kernel } from "../../../src/linux/kernel.ts";
import type { Planted } from "./check-story.ts";
import type { Guest } from "./guest.ts";
import type { RamEditor } from "./ram-editor.ts";

export type ProcessScene = {
  readonly guest: Guest;
  readonly kernel: Kernel;
  readonly editor: RamEditor;
};

/** The end state of an attack on a user process. */
export type ProcessPlant = Planted & {
  readonly title: string;
  /** Brings it about, and returns what takes it back. */
  readonly plant: (scene: ProcessScene) => Promise<() => unknown>;
};

/** One after the other. */
export function inOrder(...steps: readonly (() => unknown)[]): () => Promise<void> {
  return async () => {
    for (const step of steps) await step();
  };
}
