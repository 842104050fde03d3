import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectQmp } from "../../src/qmp/connection.ts";
import type { QmpConnection } from "../../src/qmp/connection.ts";
import { freeze, resume } from "../../src/response/freeze.ts";
import { controlGuest } from "../../src/response/guest-control.ts";
import type { ControlledGuest } from "../../src/response/guest-control.ts";
import { GuestCopy } from "../../src/response/guest-copy.ts";
import type { Job } from "../../src/response/job.ts";
import { copySparse } from "../../src/response/sparse-copy.ts";
import { openHome } from "../../src/vm/home.ts";
import { locateRam } from "../../src/vm/ram-location.ts";
import type { Guest } from "../vm/harness/guest.ts";
import type { Figure } from "./measure.ts";

const ROUNDS = 5;
/** So much of the guest's memory is not zero, and cannot be packed. */
const FILL_MIB = 300;

type Times = Readonly<Record<"plain" | "dump" | "total" | "pauses" | "frozen", number[]>>;

/**
 * What it costs a guest to be captured, beside what else there is: all in one run, on one guest, to
 * the same disk.
 */
export async function captures(guest: Guest): Promise<Figure[]> {
  await guest.run(`dd if=/dev/urandom of=/tmp/fill bs=1M count=${FILL_MIB}`);
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-bench-"));
  try {
    const home = openHome({ KVMSEC_HOME: join(folder, "home") });
    const controlled = controlGuest(home, `pid:${guest.pid}`);
    using monitor = await connectQmp(controlled.socket);
    const times = { plain: [], dump: [], total: [], pauses: [], frozen: [] } as Times;
    // One after the other, round after round: what else the machine does is the same for all.
    for (let round = 0; round < ROUNDS; round++) {
      times.plain.push(await stopCopyCont(controlled, monitor, folder));
      times.dump.push(await dumpGuestMemory(monitor, folder));
      times.total.push(await copyBehind(controlled, monitor, folder, times.pauses));
      times.frozen.push(await freezeAndResume(monitor));
    }
    const [plain, dump, total] = [best(times.plain), best(times.dump), best(times.total)];
    return [
      figure("pause of a capture, 1 GiB", best(times.pauses), 30),
      figure("  the longest of them", Math.max(...times.pauses), 30),
      figure("capture, all of it (goal: twice the plain copy)", total, 2 * plain),
      figure("  stop, plain copy, cont (its pause too)", plain, plain),
      figure("  dump-guest-memory (its pause too)", dump, dump),
      figure("from decision to frozen", best(times.frozen), 5),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function figure(name: string, value: number, goal: number): Figure {
  return { name, value, goal, unit: "ms" };
}

function best(times: readonly number[]): number {
  return Math.min(...times);
}

function freezeAndResume(monitor: QmpConnection): Promise<number> {
  return timed(
    () => freeze(monitor),
    () => resume(monitor),
  );
}

async function timed(
  work: () => Promise<unknown>,
  after: () => Promise<unknown> = async () => {},
): Promise<number> {
  const start = performance.now();
  await work();
  const took = performance.now() - start;
  await after();
  return took;
}

function stopCopyCont(
  { qemu }: ControlledGuest,
  monitor: QmpConnection,
  folder: string,
): Promise<number> {
  const { path, size } = locateRam(qemu);
  const from = openSync(path ?? "", "r");
  const to = openSync(join(folder, "plain"), "w");
  ftruncateSync(to, size);
  return timed(
    async () => {
      await monitor.execute("stop");
      copySparse(from, to, 0, size);
      await monitor.execute("cont");
    },
    async () => [from, to].forEach(closeSync),
  );
}

function dumpGuestMemory(monitor: QmpConnection, folder: string): Promise<number> {
  const protocol = `file:${join(folder, "dump")}`;
  return timed(() => monitor.execute("dump-guest-memory", { paging: false, protocol }));
}

async function copyBehind(
  guest: ControlledGuest,
  monitor: QmpConnection,
  folder: string,
  pauses: number[],
): Promise<number> {
  using copy = await GuestCopy.open(guest);
  const fd = openSync(join(folder, "behind"), "w");
  ftruncateSync(fd, copy.size);
  const job: Job = { id: "bench", action: "capture", step: async () => {} };
  try {
    return await timed(async () => {
      const { pauseMs } = await copy.take(monitor, folder, { fd, ramAt: 0 }, job);
      pauses.push(pauseMs);
    });
  } finally {
    closeSync(fd);
  }
}
