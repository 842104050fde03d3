import assert from "node:assert/strict";
import { test } from "node:test";
import { monitorFor } from "../../../src/vm/monitor-choice.ts";

const of = (...qmpSockets: string[]) => monitorFor({ pid: 7, arguments: { qmpSockets } });

test("the monitor that is asked is this QEMU's, and not the one that the guard holds", () => {
  assert.equal(of(), undefined);
  assert.equal(of("/run/a.qmp", "/run/b.qmp"), "/run/a.qmp");
  assert.equal(of("/vms/web/monitor.qmp", "/vms/web/operator.qmp"), "/vms/web/operator.qmp");
  assert.equal(of("qmp.sock"), "/proc/7/cwd/qmp.sock");
});
