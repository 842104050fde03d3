import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { Journal } from "../../../src/response/journal.ts";
import { pendingJobs, runJob } from "../../../src/response/job.ts";
import { parseNetwork } from "../../../src/response/isolate.ts";
import { openHome } from "../../../src/vm/home.ts";
import type { Home } from "../../../src/vm/home.ts";

let home: Home;
beforeEach(
  () => (home = openHome({ KVMSEC_HOME: mkdtempSync(join(tmpdir(), "kvmsec-journal-")) })),
);
afterEach(() => rmSync(home.root, { recursive: true, force: true }));

const target = { text: "web", identity: { pid: 2 ** 22 + 1, startTime: 1, bootId: "none" } };

test("a job is on record before its work, with each step, and at its end", async () => {
  const journal = new Journal(home);
  const seen = await runJob(home, "freeze", target, async (job) => {
    await job.step("done", { outcome: 1 });
    return journal.read().map(({ kind }) => kind);
  });
  assert.deepEqual(seen, ["begin", "step"]);
  await assert.rejects(
    runJob(home, "kill", target, async () => {
      throw new Error("no");
    }),
    /no/,
  );
  assert.deepEqual(
    journal
      .read()
      .map(({ kind, data }) => [kind, data["action"] ?? data["result"] ?? data["name"]]),
    [
      ["begin", "freeze"],
      ["step", "done"],
      ["end", "done"],
      ["begin", "kill"],
      ["end", "failed"],
    ],
  );
  assert.deepEqual(pendingJobs(home), []);
});

test("any changed, missing or exchanged line is noticed, and named", async () => {
  const journal = new Journal(home);
  for (const name of ["a", "b", "c", "d"])
    await journal.append({ kind: "step", job: "job", data: { name } });
  const lines = readFileSync(journal.path, "utf8").trimEnd().split("\n");
  const tamperings: [string[], RegExp][] = [
    [[lines[0]!, lines[1]!.replace('"b"', '"x"'), lines[2]!, lines[3]!], /line 2/],
    [[lines[0]!, lines[2]!, lines[3]!], /line 2/],
    [[lines[0]!, lines[2]!, lines[1]!, lines[3]!], /line 2/],
    [[lines[1]!, lines[2]!, lines[3]!], /line 1/],
  ];
  for (const [changed, message] of tamperings) {
    writeFileSync(journal.path, `${changed.join("\n")}\n`);
    assert.throws(() => journal.read(), { code: "KVMSEC_JOURNAL_DAMAGED", message });
  }
});

test("a line torn at any byte is cut off and noted; what was recorded stays", async () => {
  const journal = new Journal(home);
  await journal.append({ kind: "step", job: "job", data: { name: "kept" } });
  const whole = readFileSync(journal.path, "utf8");
  for (let length = 1; length < whole.length - 1; length += 7) {
    writeFileSync(journal.path, whole);
    appendFileSync(journal.path, whole.slice(0, length));
    assert.equal(journal.read().length, 1);
    await journal.append({ kind: "step", job: "job", data: { name: "next" } });
    assert.deepEqual(
      journal.read().map(({ kind, data }) => [kind, data["name"] ?? data["bytes"]]),
      [
        ["step", "kept"],
        ["torn", length],
        ["step", "next"],
      ],
    );
  }
});

test("a job whose worker died is pending, with its steps; one whose worker lives is not", async () => {
  const journal = new Journal(home);
  const begin = { action: "capture", target, partial: "/x" };
  await journal.append({ kind: "begin", job: "dead", data: { ...begin, worker: target.identity } });
  await journal.append({ kind: "step", job: "dead", data: { name: "stop", wasRunning: true } });
  await runJob(home, "freeze", target, async () => {
    assert.deepEqual(
      pendingJobs(home).map(({ id, action, data, steps }) => ({ id, action, data, steps })),
      [
        {
          id: "dead",
          action: "capture",
          data: { partial: "/x" },
          steps: [{ name: "stop", data: { wasRunning: true } }],
        },
      ],
    );
  });
});

test("clients of QEMU's network are read with their peers", () => {
  const text = `hub 0
 \\ hub0port1: vlan0: index=0,type=user,net=10.0.2.0,restrict=off
net0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:4c:6f:75
 \\ net: index=0,type=user,net=10.0.2.0,restrict=off
`;
  assert.deepEqual(parseNetwork(text).slice(-2), [
    { name: "net0", type: "nic" },
    { name: "net", type: "user" },
  ]);
});
