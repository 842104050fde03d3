import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceFlags, operstateName } from "../../../src/linux/netdevice-flags.ts";

const quiet = { gflags: 0, promiscuity: 0 };

test("a running device shows what ip shows", () => {
  // A veth end: IFF_UP | IFF_BROADCAST | IFF_MULTICAST, started, operational.
  assert.deepEqual(deviceFlags({ ...quiet, flags: 0x1003, state: 0x3, operstate: 6 }), [
    "BROADCAST",
    "MULTICAST",
    "UP",
    "LOWER_UP",
  ]);
  assert.equal(operstateName(0x3, 6), "UP");
});

test("without a carrier it says so", () => {
  assert.deepEqual(deviceFlags({ ...quiet, flags: 0x1003, state: 0x7, operstate: 2 }), [
    "NO-CARRIER",
    "BROADCAST",
    "MULTICAST",
    "UP",
  ]);
});

test("a stopped device is down, whatever it last was", () => {
  assert.deepEqual(deviceFlags({ ...quiet, flags: 0x1002, state: 0x2, operstate: 6 }), [
    "BROADCAST",
    "MULTICAST",
  ]);
  assert.equal(operstateName(0x2, 6), "DOWN");
});

test("a sniffer shows, though nobody asked for PROMISC by name", () => {
  const sniffed = { flags: 0x1103, gflags: 0, state: 0x3, operstate: 6, promiscuity: 1 };
  assert.ok(deviceFlags(sniffed).includes("PROMISC"));
  assert.ok(!deviceFlags({ ...sniffed, promiscuity: 0 }).includes("PROMISC"));
});
