import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "./connection.ts";
import { qmpErrorCodes } from "./errors.ts";
import type { JobInfo } from "./generated.ts";

export type JobOptions = {
  /** How long the job may run. */
  timeoutMs: number;
  /** Told now and then how far it is. */
  progress?: (job: JobInfo) => void;
};

/** QEMU sends no event for progress, so we ask. */
const POLL_MS = 250;

/**
 * Starts a job (`snapshot-save`, `blockdev-backup` with auto-dismiss false, …), waits until it is
 * concluded, and dismisses it. The commands that start jobs succeed even when the job fails: only
 * the job's own error tells. Rejects with that error; a job beyond its time limit is cancelled.
 */
export async function runJob(
  connection: QmpConnection,
  id: string,
  start: () => Promise<unknown>,
  options: JobOptions,
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  await start();
  for (;;) {
    const changed = nextChange(connection, id);
    const job = (await connection.execute("query-jobs")).find((job) => job.id === id);
    if (job === undefined) throw lostJob(id);
    options.progress?.(job);
    if (job.status === "concluded") {
      await connection.execute("job-dismiss", { id });
      if (job.error !== undefined) throw failedJob(id, job.error);
      return;
    }
    if (Date.now() > deadline) {
      await connection.execute("job-cancel", { id });
      throw new KvmsecError(
        qmpErrorCodes.timeout,
        `The job ${id} did not end within ${options.timeoutMs / 1000} s and was cancelled.`,
      );
    }
    await changed;
  }
}

/** Ends with the job's next change, or after a while, or with the connection (which the next command tells). */
function nextChange(connection: QmpConnection, id: string): Promise<unknown> {
  return connection
    .waitFor("JOB_STATUS_CHANGE", { timeoutMs: POLL_MS, accept: (data) => data.id === id })
    .catch(() => undefined);
}

function lostJob(id: string): KvmsecError {
  return new KvmsecError(
    qmpErrorCodes.failed,
    `QEMU has no job ${id} any more, so nobody can tell whether it succeeded.`,
    { hint: "Another client of this QEMU dismissed it." },
  );
}

function failedJob(id: string, error: string): KvmsecError {
  return new KvmsecError(qmpErrorCodes.failed, `The job ${id} failed: ${error}`);
}
