import { exitStatus, usageError } from "../../base/errors.ts";
import { planRepair } from "../../daemon/repair-plan.ts";
import { findKernelFiles } from "../../files/kernel-files.ts";
import { killProcess } from "../../response/kill-process.ts";
import type { ProcessEnd } from "../../response/kill-process.ts";
import { repair } from "../../response/repair.ts";
import { attach } from "../../vm/guest.ts";
import type { Home } from "../../vm/home.ts";
import type { CommandIo } from "../command.ts";
import { durationText, write, writeDocument } from "../output.ts";
import { printable } from "../text.ts";

type Options = {
  readonly json?: boolean;
  readonly started?: string;
  readonly kernelFile?: string;
  readonly modulesDir?: string;
};

/** `respond TARGET kill-process PID`. Leaves with 4 where the process is not dead yet. */
export async function endProcess(
  io: CommandIo,
  home: Home,
  target: string,
  subject: string | undefined,
  options: Options,
): Promise<void> {
  const pid = Number(subject);
  if (!Number.isSafeInteger(pid) || pid < 1) {
    throw usageError("KVMSEC_USAGE", "Which process?", `kvmsec respond ${target} kill-process PID`);
  }
  const startTime = options.started === undefined ? undefined : new Date(options.started);
  if (startTime !== undefined && Number.isNaN(+startTime)) {
    throw usageError(
      "KVMSEC_USAGE",
      `${options.started} is no time.`,
      "As ps --json tells startTime.",
    );
  }
  using guest = await attach(target);
  const end = await killProcess(home, guest, pid, { startTime });
  if (options.json === true) {
    const { startTime: started, ...facts } = end;
    const document = { target, ...facts, startTime: started ?? null };
    await writeDocument(io, "kvmsec.process-end/1", document);
  } else await write(io.stdout, said(target, end));
  io.exit(end.outcome === "dead" ? exitStatus.clean : exitStatus.partial);
}

function said(target: string, { pid, comm: name, outcome, reason, stoodMs }: ProcessEnd): string {
  const comm = printable(name);
  const stood = `the guest stood still for ${durationText(stoodMs)}`;
  if (outcome === "dead") return `Process ${pid} (${comm}) of ${target} is dead; ${stood}.\n`;
  return `Process ${pid} (${comm}) of ${target} has its death before it, but lives: ${reason}; ${stood}.\n`;
}

/** `respond TARGET repair FINDING`. */
export async function mend(
  io: CommandIo,
  home: Home,
  target: string,
  finding: string | undefined,
  options: Options,
): Promise<void> {
  if (finding === undefined) {
    throw usageError(
      "KVMSEC_USAGE",
      "Which finding?",
      `kvmsec check ${target} --json tells their ids.`,
    );
  }
  using guest = await attach(target);
  const plan = planRepair(guest.kernel, findKernelFiles(guest, options), finding);
  const { job, writes, stoodMs } = await repair(home, guest, plan);
  const pieces = writes.map(({ address, before, after }) => ({ address, before, after }));
  if (options.json === true) {
    return writeDocument(io, "kvmsec.repair/1", { target, finding, job, writes: pieces, stoodMs });
  }
  const bytes = writes.reduce((sum, { after }) => sum + after.length / 2, 0);
  await write(
    io.stdout,
    `${finding} of ${target} is repaired: ${bytes} bytes put right, and it is found no more; the guest stood still for ${durationText(stoodMs)}.\n`,
  );
}
