import type { GuestVirtual } from "../base/address.ts";
import { KvmsecError } from "../base/errors.ts";
import { parseRegisters } from "../evidence/registers.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { Guest } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { GdbWriter } from "./gdb-writer.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { applyWrites, directly, undoWrites } from "./guest-write.ts";
import type { PutBytes } from "./guest-write.ts";
import { runJob } from "./job.ts";
import type { Job } from "./job.ts";
import { RamWriter } from "./ram-writer.ts";
import type { GuestWrite } from "./ram-writer.ts";
import { standingStill } from "./standing-still.ts";

/** A stretch of a guest's memory that is not as it has to be. */
export type RepairPart = {
  readonly address: GuestVirtual;
  /** What was found there. */
  readonly seen: Uint8Array;
  readonly right: Uint8Array;
  /** Whether processors run it. */
  readonly code: boolean;
};

/** How a finding is to be mended. */
export type RepairPlan = {
  readonly finding: string;
  readonly title: string;
  readonly parts: readonly RepairPart[];
  /** Looks at the guest again: whether the finding still holds. */
  readonly stillFound: () => boolean;
};

/** What was mended. */
export type Repaired = {
  readonly job: string;
  readonly finding: string;
  readonly writes: readonly GuestWrite[];
  /** How long the guest stood still for it. */
  readonly stoodMs: number;
};

/** What the journal can hold in one entry. */
const MAX_BYTES = 32 * 1024;
const TRIES = 20;

/**
 * Puts the right bytes back into a running guest: it stands still meanwhile, every byte is on record
 * before it is written, and the finding has to be gone afterwards, or all is taken back.
 * Throws KVMSEC_REPAIR_FAILED, KVMSEC_WRITE_IMPOSSIBLE.
 */
export async function repair(home: Home, guest: Guest, plan: RepairPlan): Promise<Repaired> {
  const controlled = controlGuest(home, guest.target.text);
  using held = new DisposableStack();
  held.use(await lockGuest(home, controlled, `respond ${guest.target.text} repair`));
  using ram = new RamWriter(controlled);
  const writes = planned(ram, guest, plan);
  return await runJob(
    home,
    "repair",
    controlled,
    async (job) => {
      using monitor = await monitorOf(controlled);
      const stoodMs = await mend({ controlled, monitor, job, ram, plan, writes }, guest.kernel);
      return { job: job.id, finding: plan.finding, writes, stoodMs };
    },
    { finding: plan.finding, title: plan.title, writes },
  );
}

function planned(ram: RamWriter, { kernel }: Guest, plan: RepairPlan): GuestWrite[] {
  const writes = plan.parts.flatMap(({ address, right }) => ram.plan(kernel, address, right));
  const needed = writes.filter(({ before, after }) => before !== after);
  const size = needed.reduce((sum, { after }) => sum + after.length / 2, 0);
  if (size > 0 && size <= MAX_BYTES) return needed;
  throw failed(plan, size === 0 ? "the bytes are right already" : `${size} bytes are too many`);
}

type Mending = {
  readonly controlled: ControlledGuest;
  readonly monitor: QmpConnection;
  readonly job: Job;
  readonly ram: RamWriter;
  readonly plan: RepairPlan;
  readonly writes: readonly GuestWrite[];
};

async function mend(mending: Mending, kernel: Kernel): Promise<number> {
  const { controlled, monitor, job, ram, plan, writes } = mending;
  for (let left = TRIES; left > 0; left--) {
    const { result, stoodMs, wasRunning } = await standingStill(
      controlled,
      monitor,
      job,
      async () => {
        if (await isBeingRun(monitor, kernel, plan)) return false;
        await using writer = await writerFor(controlled, monitor, ram, plan);
        await applyWrites(ram, writes, writer.put);
        if (!plan.stillFound()) return true;
        await undoWrites(ram, writes, writer.put);
        throw failed(
          plan,
          "it is still found after the right bytes were written; they were taken back",
        );
      },
    );
    if (result) return stoodMs;
    if (!wasRunning) break;
  }
  throw failed(plan, "a processor stands in the middle of that code");
}

/** Whether a processor would go on in the middle of what is replaced. */
async function isBeingRun(
  monitor: QmpConnection,
  kernel: Kernel,
  { parts }: RepairPlan,
): Promise<boolean> {
  const code = parts.filter((part) => part.code);
  if (code.length === 0) return false;
  const processors = parseRegisters(await monitor.human("info registers -a"));
  return processors.some(({ registers }) =>
    code.some(({ address, right }) => {
      const from = kernel.space.folding.unfold(address);
      const rip = registers["RIP"] ?? 0n;
      return rip > from && rip < from + BigInt(right.length);
    }),
  );
}

/** Under software emulation code is written by QEMU itself. */
async function writerFor(
  guest: ControlledGuest,
  monitor: QmpConnection,
  ram: RamWriter,
  { parts }: RepairPlan,
): Promise<AsyncDisposable & { readonly put: PutBytes }> {
  const emulated = !(await monitor.execute("query-kvm")).enabled;
  if (emulated && parts.some(({ code }) => code)) return GdbWriter.open(monitor, guest.qemu.uid);
  return { put: directly(ram), [Symbol.asyncDispose]: async () => {} };
}

function failed({ finding }: RepairPlan, why: string): KvmsecError {
  return new KvmsecError("KVMSEC_REPAIR_FAILED", `${finding} was not repaired: ${why}.`, {
    hint: "kvmsec respond TARGET restore puts a clean guest back.",
  });
}
