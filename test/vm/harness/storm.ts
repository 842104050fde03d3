import { readFileSync } from "node:fs";
import { type Guest, quote } from "./guest.ts";
import { helperProgram } from "./helper-program.ts";

export type StormKind =
  | "fork"
  | "thread"
  | "map"
  | "socket"
  | "file"
  | "mount"
  | "cgroup"
  | "traffic"
  | "memory";

/** Something that goes on in a guest until it is disposed. */
export type Storm = AsyncDisposable;

/** Changes of these kinds as fast as the guest can make them. */
export async function storm(guest: Guest, kinds: readonly StormKind[]): Promise<Storm> {
  await guest.put("/usr/sbin/storm", readFileSync(await helperProgram("storm")), 0o755);
  return untilDisposed(guest, `exec storm ${kinds.join(" ")}`);
}

/** Loads and unloads these kernel modules, which the guest has to have as `availableModules`. */
export function moduleStorm(guest: Guest, modules: readonly string[]): Storm {
  const names = modules.map(quote).join(" ");
  const loop = `for name in ${names}; do modprobe $name; rmmod $name; done`;
  return untilDisposed(guest, `while :; do ${loop}; done`);
}

/** Makes and removes network devices. */
export function deviceStorm(guest: Guest): Storm {
  const once = "ip link add storm0 type dummy; ip link set storm0 up; ip link del storm0";
  return untilDisposed(guest, `while :; do ${once}; done`);
}

/** Runs these commands again and again. */
export function repeated(guest: Guest, commands: string): Storm {
  return untilDisposed(guest, `while :; do ${commands}; done`);
}

function untilDisposed(guest: Guest, command: string): Storm {
  const stop = new AbortController();
  const forever = 2 ** 31 - 1;
  const running = guest.attempt(`{ ${command}; } >/dev/null 2>&1`, {
    signal: stop.signal,
    timeout: forever,
  });
  // A guest that ends meanwhile is told of by whatever is being tested.
  const settled = running.then(
    () => {},
    () => {},
  );
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await settled;
    },
  };
}
