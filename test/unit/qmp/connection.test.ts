import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectQmp } from "../../../src/qmp/connection.ts";
import { FakeMonitor, greeting } from "./fake-monitor.ts";

const event = (name: string, data: object) =>
  JSON.stringify({ event: name, data, timestamp: { seconds: 1_700_000_000, microseconds: 5 } }) +
  "\r\n";

test("answers find their commands by id, whatever their order", async () => {
  const held: number[] = [];
  await using monitor = await FakeMonitor.start(({ id }) => {
    held.push(id);
    if (held.length < 3) return undefined;
    return held
      .toReversed()
      .map((id) => `{"return": {"running": ${id % 2 === 0}, "of": ${id}}, "id": ${id}}\r\n`)
      .join("");
  });
  using connection = await connectQmp(monitor.path);
  const answers = await Promise.all([
    connection.execute("query-status"),
    connection.execute("query-status"),
    connection.execute("query-status"),
  ]);
  const ids = answers.map((answer) => (answer as unknown as { of: number }).of);
  assert.deepEqual(ids, ids.toSorted());
  assert.equal(new Set(ids).size, 3);
  assert.deepEqual(connection.version.qemu, { micro: 22, minor: 2, major: 7 });
});

test("a refusal carries QEMU's words and the caller's place", async () => {
  await using monitor = await FakeMonitor.start(
    ({ id }) =>
      `{"id": ${id}, "error": {"class": "GenericError", "desc": "Device 'x' not found"}}\r\n`,
  );
  using connection = await connectQmp(monitor.path);
  const error = await connection.execute("device_del", { id: "x" }).catch((error) => error);
  assert.equal(error.code, "KVMSEC_QMP_COMMAND_FAILED");
  assert.equal(error.errorClass, "GenericError");
  assert.equal(error.message, "QEMU refused device_del: Device 'x' not found");
  assert.match(error.stack.split("\n")[1], /connection\.test\.ts/);
});

test("an unknown command is told apart from a refused one", async () => {
  await using monitor = await FakeMonitor.start(
    ({ id }) =>
      `{"id": ${id}, "error": {"class": "CommandNotFound", "desc": "The command x-none has not been found"}}\r\n`,
  );
  using connection = await connectQmp(monitor.path);
  await assert.rejects(connection.executeAny("x-none"), { code: "KVMSEC_QMP_UNSUPPORTED" });
});

test("the list of commands is asked once and answers what QEMU knows", async () => {
  let asked = 0;
  await using monitor = await FakeMonitor.start(({ id, execute }) => {
    assert.equal(execute, "query-commands");
    asked++;
    return `{"id": ${id}, "return": [{"name": "stop"}, {"name": "cont"}]}\r\n`;
  });
  using connection = await connectQmp(monitor.path);
  assert.equal(await connection.supports("stop"), true);
  assert.equal(await connection.supports("x-query-ramblock"), false);
  assert.equal(asked, 1);
});

test("a command without an answer ends at its limit, and the late answer harms nobody", async () => {
  let late: (() => void) | undefined;
  await using monitor = await FakeMonitor.start(({ id, execute }, socket) => {
    if (execute === "cont") return `{"id": ${id}, "return": {}}\r\n`;
    late = () => socket.write(`{"id": ${id}, "return": {}}\r\n`);
    return undefined;
  });
  using connection = await connectQmp(monitor.path);
  const error = await connection.execute("stop", {}, { timeoutMs: 20 }).catch((error) => error);
  assert.equal(error.code, "KVMSEC_QMP_TIMEOUT");
  assert.match(error.stack, /connection\.test\.ts/);
  late?.();
  assert.deepEqual(await connection.execute("cont"), {});
});

test("when the socket dies, all that waits fails with a code, and the end tells how", async () => {
  await using monitor = await FakeMonitor.start((_command, socket) => {
    socket.write(event("SHUTDOWN", { guest: false, reason: "host-qmp-quit" }));
    socket.end();
    return undefined;
  });
  using connection = await connectQmp(monitor.path);
  const waiting = [
    assert.rejects(connection.execute("quit"), { code: "KVMSEC_QMP_CLOSED" }),
    assert.rejects(connection.waitFor("STOP"), { code: "KVMSEC_QMP_CLOSED" }),
  ];
  const end = await connection.ended;
  assert.equal(end.byUs, false);
  assert.equal(end.shutdown?.reason, "host-qmp-quit");
  await Promise.all(waiting);
  await assert.rejects(connection.execute("query-status"), { code: "KVMSEC_QMP_CLOSED" });
});

test("events reach listeners by name, and an iterator in order until it is left", async () => {
  await using monitor = await FakeMonitor.start(({ id }) =>
    [
      event("STOP", {}),
      event("GUEST_PANICKED", { action: "pause" }),
      event("RESUME", {}),
      `{"id": ${id}, "return": {}}\r\n`,
    ].join(""),
  );
  using connection = await connectQmp(monitor.path);
  const panics: unknown[] = [];
  using subscription = connection.on("GUEST_PANICKED", (data) => panics.push(data));
  const queue = connection.events();
  await connection.execute("cont");
  const seen: string[] = [];
  for await (const { name, time } of queue) {
    assert.equal(time.getTime(), 1_700_000_000_000);
    seen.push(name);
    if (name === "RESUME") break;
  }
  assert.deepEqual(seen, ["STOP", "GUEST_PANICKED", "RESUME"]);
  assert.deepEqual(panics, [{ action: "pause" }]);
  subscription[Symbol.dispose]();
  await connection.execute("cont");
  assert.equal(panics.length, 1);
});

test("an iterator over events delivers what came before the end, then ends", async () => {
  await using monitor = await FakeMonitor.start((_command, socket) => {
    socket.end(event("STOP", {}) + event("RESUME", {}));
    return undefined;
  });
  using connection = await connectQmp(monitor.path);
  const queue = connection.events();
  await assert.rejects(connection.execute("quit"));
  const seen: string[] = [];
  for await (const { name } of queue) seen.push(name);
  assert.deepEqual(seen, ["STOP", "RESUME"]);
});

test("waitFor takes the first event that is accepted", async () => {
  await using monitor = await FakeMonitor.start(
    ({ id }) =>
      `{"id": ${id}, "return": {}}\r\n` +
      event("DEVICE_DELETED", { device: "other", path: "/a" }) +
      event("DEVICE_DELETED", { device: "net0", path: "/b" }),
  );
  using connection = await connectQmp(monitor.path);
  const deleted = connection.waitFor("DEVICE_DELETED", {
    accept: ({ device }) => device === "net0",
  });
  await connection.execute("device_del", { id: "net0" });
  assert.equal((await deleted).path, "/b");
  await assert.rejects(connection.waitFor("RESET", { timeoutMs: 10 }), {
    code: "KVMSEC_QMP_TIMEOUT",
  });
});

test("a monitor that greets nobody is busy", async () => {
  await using monitor = await FakeMonitor.startRaw(() => {});
  await assert.rejects(connectQmp(monitor.path, { timeoutMs: 30 }), { code: "KVMSEC_QMP_BUSY" });
});

test("a socket that speaks something else, or hangs up at once, is told as such", async () => {
  await using foreign = await FakeMonitor.startRaw((socket) => socket.write("220 ready\r\n"));
  await assert.rejects(connectQmp(foreign.path), { code: "KVMSEC_QMP_PROTOCOL" });
  await using silent = await FakeMonitor.startRaw((socket) => socket.end());
  await assert.rejects(connectQmp(silent.path), { code: "KVMSEC_QMP_CLOSED" });
});

test("each way to have no monitor has its code", async () => {
  await using monitor = await FakeMonitor.startRaw(() => {});
  const plain = join(monitor.folder, "plain-file");
  writeFileSync(plain, "");
  await assert.rejects(connectQmp(join(monitor.folder, "none")), { code: "KVMSEC_QMP_NO_SOCKET" });
  await assert.rejects(connectQmp(plain), { code: "KVMSEC_QMP_REFUSED" });
});

test("malformed messages are passed over", async () => {
  await using monitor = await FakeMonitor.start(
    ({ id }) =>
      `null\r\n[]\r\n{"event": 7}\r\n{"return": {}}\r\n{"id": 99999, "return": {}}\r\n` +
      `{"id": ${id}, "return": {"ok": true}}\r\n`,
  );
  using connection = await connectQmp(monitor.path);
  assert.deepEqual(await connection.executeAny("anything"), { ok: true });
});

test("a greeting in pieces and in pretty form is understood", async () => {
  const pretty = JSON.stringify(JSON.parse(greeting), null, 4) + "\r\n";
  await using monitor = await FakeMonitor.startRaw((socket) => {
    socket.write(pretty.slice(0, 30));
    setImmediate(() => socket.write(pretty.slice(30)));
    socket.on("data", (data) => {
      const { id } = JSON.parse(data.toString());
      socket.write(JSON.stringify({ return: {}, id }, null, 4) + "\r\n");
    });
  });
  using connection = await connectQmp(monitor.path);
  assert.equal(connection.version.package, "test");
});
