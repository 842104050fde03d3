import assert from "node:assert/strict";
import { test } from "node:test";
import { connectQmp } from "../../../src/qmp/connection.ts";
import { runJob } from "../../../src/qmp/jobs.ts";
import { FakeMonitor } from "./fake-monitor.ts";

/** A monitor whose one job takes `steps` looks to conclude. */
function jobMonitor(steps: number, error?: string): Promise<FakeMonitor> & { said: string[] } {
  const said: string[] = [];
  let looks = 0;
  const monitor = FakeMonitor.start(({ id, execute }) => {
    said.push(execute);
    if (execute !== "query-jobs") return `{"id": ${id}, "return": {}}\r\n`;
    const status = ++looks >= steps ? "concluded" : "running";
    const job = { id: "j1", type: "backup", status, "current-progress": looks, error };
    return JSON.stringify({ id, return: [job] }) + "\r\n";
  });
  return Object.assign(monitor, { said });
}

test("a job is followed to its end and dismissed", async () => {
  const started = jobMonitor(2);
  await using monitor = await started;
  using connection = await connectQmp(monitor.path);
  const progress: number[] = [];
  await runJob(connection, "j1", () => connection.executeAny("snapshot-save"), {
    timeoutMs: 10_000,
    progress: (job) => progress.push(job["current-progress"]),
  });
  assert.deepEqual(started.said, ["snapshot-save", "query-jobs", "query-jobs", "job-dismiss"]);
  assert.deepEqual(progress, [1, 2]);
});

test("a job that failed rejects with its own error, though its command succeeded", async () => {
  await using monitor = await jobMonitor(1, "No space left on device");
  using connection = await connectQmp(monitor.path);
  await assert.rejects(
    runJob(connection, "j1", () => connection.executeAny("snapshot-save"), { timeoutMs: 10_000 }),
    { code: "KVMSEC_QMP_COMMAND_FAILED", message: /No space left on device/ },
  );
});

test("a job that vanished is not taken for a success", async () => {
  await using monitor = await jobMonitor(1);
  using connection = await connectQmp(monitor.path);
  await assert.rejects(
    runJob(connection, "j2", () => connection.executeAny("snapshot-save"), { timeoutMs: 10_000 }),
    { code: "KVMSEC_QMP_COMMAND_FAILED" },
  );
});
