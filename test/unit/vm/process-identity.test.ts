import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { canAct, processIdentity } from "../../../src/vm/process-identity.ts";

/** A process whose own child says its pid, and is nobody's to wait for once both were killed. */
const SCRIPT = 'sh -c "echo \\$\\$; exec sleep 1000" & wait';

test("a process can act while it runs, not any more once its killed kin has closed its files", async () => {
  const own = processIdentity(process.pid)!;
  assert.ok(canAct(own) && canAct(process.pid));
  assert.ok(!canAct({ ...own, startTime: own.startTime + 1 }));
  for (let round = 0; round < 50; round++) {
    const parent = spawn("sh", ["-c", SCRIPT], { detached: true });
    const [said] = (await once(parent.stdout, "data")) as [Buffer];
    const child = processIdentity(Number(said.toString()))!;
    assert.ok(canAct(child));
    const closed = once(parent, "close");
    process.kill(-parent.pid!, "SIGKILL");
    await closed;
    assert.ok(!canAct(child), `round ${round}`);
    assert.ok(!canAct(child.pid));
  }
});
