import assert from "node:assert/strict";
import { guestText } from "../../../src/base/guest-text.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { threads } from "../../../src/views/threads.ts";
import type { Guest } from "../harness/guest.ts";
import type { Population } from "../harness/populate.ts";
import { agree, readAll } from "./agree.ts";
import { readProc } from "./proc.ts";

const policies = ["OTHER", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE", "EXT"];
const PF_KTHREAD = 0x0020_0000;

/** Every thread of every process, with what of it keeps still. */
export async function threadsAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  await agree(
    async () => {
      const proc = await readProc(guest, "task/", "comm");
      return proc.pids.flatMap((tgid) =>
        [...proc.folder(`${tgid}/task/`).keys()]
          .map((name) => Number.parseInt(name, 10))
          .toSorted((a, b) => a - b)
          .map((tid) => {
            const path = `${tgid}/task/${tid}/stat`;
            const stat = proc.stat(path) ?? [];
            const kthread = (Number(stat[6]) & PF_KTHREAD) !== 0;
            return {
              tgid,
              tid,
              name: kthread ? "" : nameIn(proc.bytes(path)),
              state: kthread ? "" : stat[0],
              kthread,
              priority: Number(stat[15]),
              nice: Number(stat[16]),
              policy: policies[Number(stat[38])],
            };
          }),
      );
    },
    () =>
      readAll(threads, kernel, {})
        .map(({ tgid, tid, name, state, kthread, priority, nice, policy }) => ({
          tgid,
          tid,
          name: kthread ? "" : name,
          state: kthread ? "" : state,
          kthread,
          priority,
          nice,
          policy,
        }))
        .toSorted((a, b) => a.tgid - b.tgid || a.tid - b.tid),
    "threads",
  );
}

/** What stands in the parentheses of a stat file, which escapes nothing. */
function nameIn(stat: Buffer | undefined): string {
  if (stat === undefined) return "";
  return guestText(stat.subarray(stat.indexOf("(") + 1, stat.lastIndexOf(")")));
}

/** Stacks lie where the kernel keeps them: each thread's own, its stack pointer inside. */
export async function stacksAreThreadsOwn(_guest: Guest, kernel: Kernel): Promise<void> {
  const size = 16_384;
  const rows = readAll(threads, kernel, {});
  const stacks = new Set(rows.map(({ stack }) => stack).filter((stack) => stack < 0));
  const dead = rows.filter(({ state }) => state === "Z" || state === "X").length;
  assert.ok(stacks.size >= rows.length - dead, "threads share stacks");
  for (const { tid, state, running, stack, stackPointer } of rows) {
    if (running || state === "Z" || state === "X") continue;
    assert.ok(stackPointer > stack && stackPointer < stack + size, `thread ${tid}`);
  }
}

/** `--pid` by a thread's id means its process. */
export async function aThreadStandsForItsProcess(
  guest: Guest,
  kernel: Kernel,
  population: Population,
): Promise<void> {
  const pid = population.get("threads") ?? 0;
  const listed = (await guest.run(`ls /proc/${pid}/task`)).trim().split("\n").map(Number);
  const rows = readAll(threads, kernel, { pid: [listed.at(-1) ?? 0] });
  assert.deepEqual(
    rows.map(({ tid }) => tid).toSorted((a, b) => a - b),
    listed,
  );
  assert.throws(() => readAll(threads, kernel, { pid: [4_000_000] }), {
    code: "KVMSEC_NO_SUCH_PROCESS",
    exit: 2,
  });
}
