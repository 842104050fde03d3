import assert from "node:assert/strict";
import { test } from "node:test";
import { magicConstants } from "../../../src/linux/magic-filter.ts";

const ETH_P_ALL = 3;
const ETH_P_IP = 0x800;
const JEQ = "0x15 0 1";
const ALL = { type: "raw", protocol: ETH_P_ALL };

test("a capture by protocol, port and address is no magic filter", () => {
  // tcpdump -d tcp port 22, from an Ethernet header on.
  const port = `
    0x28 0 0 12, 0x15 0 8 34525, 0x30 0 0 20, 0x15 0 16 6, 0x28 0 0 54, 0x15 13 0 22,
    0x28 0 0 56, 0x15 11 12 22, 0x15 0 11 2048, 0x30 0 0 23, 0x15 0 9 6, 0x28 0 0 20,
    0x45 7 0 8191, 0xb1 0 0 14, 0x48 0 0 14, 0x15 3 0 22, 0x48 0 0 16, 0x15 0 1 22,
    0x06 0 0 262144, 0x06 0 0 0`;
  assert.deepEqual(magicConstants(port.trim().split(/,\s+/), ALL), []);
  // tcpdump -d host 2001:db8::1: four words of each address.
  const host = [22, 26, 30, 34, 38, 42, 46, 50].flatMap((at) => [
    `0x20 0 0 ${at}`,
    `${JEQ} 536939960`,
  ]);
  assert.deepEqual(magicConstants(host, ALL), []);
});

test("a DHCP client's filter is no magic filter", () => {
  const byPort = ["0x30 0 0 23", `${JEQ} 17`, "0xb1 0 0 14", "0x48 0 0 16", `${JEQ} 68`];
  const transaction = ["0x40 0 0 26", `${JEQ} 305419896`];
  assert.deepEqual(magicConstants([...byPort, ...transaction], ALL), []);
  const cookie = ["0x20 0 0 264", `${JEQ} ${0x63825363}`, "0x20 0 0 32", `${JEQ} 305419896`];
  assert.deepEqual(magicConstants(cookie, { type: "dgram", protocol: ETH_P_IP }), []);
});

function door(load: string): string[] {
  return [load, `${JEQ} ${0x5ca1ab1e}`];
}

test("what ping asks for is no magic filter", () => {
  // iputils: the identifier behind the IP header, then the type.
  const ping = ["0xb1 0 0 0", "0x48 0 0 4", `${JEQ} 4660`, "0x50 0 0 0", `${JEQ} 0`];
  const raw = { type: "raw", protocol: 0 };
  const internet = { family: "inet", protocol: "raw" };
  assert.deepEqual(magicConstants(ping, { ...raw, internet }), []);
  const six = ["0x28 0 0 4", `${JEQ} 4660`, "0x30 0 0 0", `${JEQ} 129`];
  assert.deepEqual(
    magicConstants(six, { ...raw, internet: { family: "inet6", protocol: "raw" } }),
    [],
  );
});

test("a constant inside what a raw, UDP or TCP socket gets is found", () => {
  const raw = { type: "raw", protocol: 0, internet: { family: "inet", protocol: "raw" } };
  assert.deepEqual(magicConstants(door("0x20 0 0 28"), raw), [0x5ca1ab1e]);
  assert.deepEqual(magicConstants(door("0x40 0 0 8"), raw), [0x5ca1ab1e]);
  assert.deepEqual(magicConstants(door("0x20 0 0 24"), raw), []);
  const udp = { type: "dgram", protocol: 0, internet: { family: "inet", protocol: "udp" } };
  assert.deepEqual(magicConstants(door("0x20 0 0 8"), udp), [0x5ca1ab1e]);
  const tcp = { type: "stream", protocol: 0, internet: { family: "inet6", protocol: "tcp" } };
  assert.deepEqual(magicConstants(door("0x20 0 0 20"), tcp), [0x5ca1ab1e]);
  assert.deepEqual(magicConstants(door("0x20 0 0 8"), tcp), []);
});

test("a constant inside what a packet carries is found", () => {
  const word = ["0x20 0 0 20", `${JEQ} ${0x5ca1ab1e}`, "0x06 0 0 65535"];
  assert.deepEqual(magicConstants(word, { type: "dgram", protocol: ETH_P_IP }), [0x5ca1ab1e]);
  const half = ["0x30 0 0 23", `${JEQ} 17`, "0xb1 0 0 14", "0x48 0 0 22", `${JEQ} 29269`];
  assert.deepEqual(magicConstants(half, ALL), [29_269]);
});
