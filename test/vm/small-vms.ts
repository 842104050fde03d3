// What test files about VMs begin with; each runs in a process, and so has a home, of its own.
import { after, afterEach } from "node:test";
import { kvmsec } from "./command-line.ts";
import type { CommandResult } from "./command-line.ts";
import { testHome } from "./golden-image.ts";
import { endVms } from "./lab.ts";

export const small = { memoryBytes: 384 * 2 ** 20 };

/** Holds the golden image; its VMs are ended after each test. */
export const home = await testHome();
afterEach(() => endVms(home));
after(() => home[Symbol.dispose]());

/** Runs `kvmsec vm …` there. */
export function run(...args: string[]): Promise<CommandResult> {
  return kvmsec(home.root, "vm", ...args);
}

/** Runs `kvmsec vm create` for a small VM of the image. */
export function create(name: string, ...args: string[]): Promise<CommandResult> {
  return run("create", name, "--image", home.image, "--memory", "384M", ...args);
}
