import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Where kernels, helpers and initramfs parts are kept between runs; made if it is missing. */
export function cacheDirectory(...parts: string[]): string {
  const root = process.env["KVMSEC_TEST_CACHE"] ?? join(homedir(), ".cache", "kvmsec-test");
  const path = join(root, ...parts);
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * Takes an exclusive lock on a file, or returns undefined if `wait` is false and another has it.
 *
 * Node has no flock(2), so a child holds it for as long as its input pipe is open: the lock is
 * released even when this process is killed.
 */
export async function lockFile(
  path: string,
  options: { wait?: boolean } = {},
): Promise<AsyncDisposable | undefined> {
  const how = options.wait === false ? ["--nonblock"] : [];
  const holder = spawn("flock", [...how, path, "sh", "-c", "echo locked; exec cat"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const exited = once(holder, "exit");
  // Its pipe may break when it could not lock; that is the answer, not a failure.
  holder.stdin.on("error", () => {});
  const locked = await Promise.race([
    once(holder.stdout, "data").then(() => true),
    exited.then(() => false),
  ]);
  if (!locked) return undefined;
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await exited;
    },
  };
}

/** Does the work in one of `count` places that all processes of this user share. */
export async function inPlace<T>(name: string, count: number, work: () => Promise<T>): Promise<T> {
  const directory = cacheDirectory("places");
  for (;;) {
    for (let place = 0; place < count; place++) {
      await using lock = await lockFile(join(directory, `${name}-${place}`), { wait: false });
      if (lock !== undefined) return await work();
    }
    await sleep(50);
  }
}
