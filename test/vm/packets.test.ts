import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "../../src/daemon/inspect.ts";
import { verifyPackage } from "../../src/evidence/verify.ts";
import { eachRecord, parsePcapHeader, PCAP_HEADER } from "../../src/formats/pcap.ts";
import { capture } from "../../src/response/capture.ts";
import { dropPackets } from "../../src/vm/guest-vm.ts";
import { newPacketFile, writePacketState } from "../../src/vm/packet-files.ts";
import { startPacketKeeper } from "../../src/vm/packet-keeping.ts";
import { vmPaths } from "../../src/vm/vm-state.ts";
import { refusal, startKvmsec } from "./command-line.ts";
import { Lab } from "./lab.ts";

const NAME = "talker";
const MIB = 2 ** 20;
const PORT = 5353;
let lab: Lab;

before(async () => {
  lab = await Lab.boot(NAME, { packets: { keepBytes: 4 * MIB } });
});
after(() => lab[Symbol.asyncDispose]());

const run = (...args: string[]) => lab.run(...args);
const packets = () => lab.vm.packets;

/** Has the guest send datagrams to a port of its gateway. */
async function send(text: string, { times = 1, padding = 1 } = {}): Promise<void> {
  const loop = `for n in {1..${times}}; do printf "${text} %0${padding}d" 0 >&3; done`;
  await lab.type(`bash -c 'exec 3> /dev/udp/10.0.2.2/${PORT}; ${loop}'`);
}

type Packet = { readonly micros: number; readonly bytes: Buffer };

function packetsOf(path: string): Packet[] {
  const bytes = readFileSync(path);
  assert.deepEqual(parsePcapHeader(bytes), { snapLength: 65_536, linkType: 1 });
  const found: Packet[] = [];
  const body = bytes.subarray(PCAP_HEADER);
  const { used, broken } = eachRecord(body, ({ at, micros, length }) =>
    found.push({ micros, bytes: body.subarray(at + 16, at + 16 + length) }),
  );
  assert.deepEqual([used, broken], [body.length, false]);
  return found;
}

/** What UDP datagrams to a port carried (RFC 791, RFC 768). */
function datagrams(found: readonly Packet[], port: number): (Packet & { text: string })[] {
  return found.flatMap((packet) => {
    const { bytes } = packet;
    const isUdp = bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 17;
    if (!isUdp || bytes.readUInt16BE(36) !== port) return [];
    return [{ ...packet, text: bytes.toString("latin1", 42).replaceAll("\0", "").trim() }];
  });
}

const kept = () => packets().files.map(({ name }) => join(packets().folder, name));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(100);
}

const untilKept = (text: string) =>
  until(() => kept().some((path) => readFileSync(path).includes(text)));

test("from its QEMU's first moment on a VM's packets are kept, for their owner only", async () => {
  const shown = JSON.parse((await run("vm", "show", NAME, "--json")).stdout).packets;
  assert.deepEqual([shown.on, shown.by, shown.keepBytes], [true, "owner", 4 * MIB]);
  assert.equal(statSync(packets().folder).mode & 0o777, 0o700);
  const [first] = kept();
  assert.equal(statSync(first!).mode & 0o777, 0o600);
  assert.match(
    (await run("vm", "show", NAME)).stdout,
    /its packets are kept: the last 4(\.0)? MiB/,
  );
  await send("the-first");
  await untilKept("the-first");
  // The address that it was given: DHCP, from the client's port.
  const asked = packetsOf(first!).filter(({ bytes }) => bytes.readUInt16BE(34) === 68);
  assert.ok(asked.length > 0);
});

test("switched off nothing is kept, switched on again the next packet is", async () => {
  const off = await run("packets", NAME, "off", "--json");
  assert.deepEqual([off.status, JSON.parse(off.stdout).on], [0, false], off.stderr);
  await send("in-between");
  const on = await run("packets", NAME, "on", "--keep", "1M", "--json");
  assert.deepEqual([on.status, JSON.parse(on.stdout).keepBytes], [0, MIB], on.stderr);
  await send("afterwards");
  await untilKept("afterwards");
  const text = kept()
    .map((path) => readFileSync(path, "latin1"))
    .join("");
  assert.equal(text.includes("in-between"), false);
  assert.equal(refusal(await run("packets", NAME, "on", "--keep", "1K")), "2 KVMSEC_PACKETS_KEEP");
});

test("a switch that was cut short before QEMU was asked is done to its end", async () => {
  const { pid, startTime, bootId } = lab.vm.run!;
  const paths = vmPaths(lab.home, NAME);
  await dropPackets(NAME, lab.home);
  newPacketFile(paths);
  writePacketState(paths, { keepBytes: MIB, by: "owner", run: { pid, startTime, bootId } });
  startPacketKeeper(lab.home.root);
  await until(() => packets().files.at(-1)!.bytes > 0);
  await send("at-last");
  await untilKept("at-last");
  assert.equal((await run("packets", NAME, "on", "--keep", "1M")).status, 0);
});

test("a capture has them, at the times at which they passed", async () => {
  const before = Date.now();
  await send("evidence");
  await untilKept("evidence");
  const after = Date.now();
  const folder = join(lab.home.root, "evidence", "talk");
  const { manifest } = await capture(lab.home, NAME, folder, { inspect });
  assert.deepEqual((await verifyPackage(folder)).faults, []);
  const { files } = JSON.parse(readFileSync(join(folder, "packets.json"), "utf8"));
  assert.deepEqual(manifest.facts["packets"], files);
  const listed = manifest.files.map(({ path }) => path).filter((path) => path.endsWith(".pcap"));
  assert.deepEqual(
    listed,
    files.map(({ file }: { file: string }) => file),
  );
  const all = listed.map((path) => packetsOf(join(folder, path)));
  assert.deepEqual(
    files.map((file: { packets: number }) => file.packets),
    all.map(({ length }) => length),
  );
  const found = datagrams(all.flat(), PORT);
  assert.deepEqual(
    found.map(({ text }) => text.split(" ")[0]),
    ["the-first", "afterwards", "at-last", "evidence"],
  );
  // A packet is stamped by one clock and written by another: they differ by milliseconds.
  const { micros } = found.at(-1)!;
  assert.ok(micros / 1000 > before - 1000 && micros / 1000 < after + 1000, `${micros} ${before}`);
  for (const [index, path] of listed.entries()) {
    const read = execFileSync("tcpdump", ["-nr", join(folder, path)], {
      encoding: "utf8",
      stdio: "pipe",
    });
    assert.equal(read.trimEnd().split("\n").filter(Boolean).length, all[index]!.length);
  }
});

test("however much passes, only the last of it is kept, and another QEMU goes on", async () => {
  const oldest = kept()[0];
  await send("flood", { times: 2500, padding: 1200 });
  await send("the-end");
  await untilKept("the-end");
  await until(() => packets().bytes <= MIB);
  assert.equal(kept().includes(oldest!), false);
  assert.ok(packets().bytes > MIB / 4, "and of that as much as was promised");
  const text = kept()
    .map((path) => readFileSync(path, "latin1"))
    .join("");
  assert.match(text, /flood/);
  const { pid } = lab.vm.run!;
  for (const what of ["create", "restore"]) {
    const { status, stderr } = await run("snapshot", what, NAME, "moment");
    assert.equal(status, 0, stderr);
  }
  assert.notEqual(lab.vm.run!.pid, pid);
  assert.equal(packets().on, true);
  await send("in-the-next");
  await untilKept("in-the-next");
});

test("the guard has packets kept as its configuration wants it, until it does not", async () => {
  await dropPackets(NAME, lab.home);
  assert.equal(packets().on, false);
  const config = join(lab.home.root, "guard.yaml");
  writeFileSync(config, "interval: 1h\npackets: [{guests: ['talk*'], keep: 2M}]\n");
  const guard = startKvmsec(lab.home.root, ["serve", "--config", config]);
  const ended = new Promise((resolve) => guard.on("close", resolve));
  guard.stdout.resume();
  guard.stderr.resume();
  await until(() => packets().by === "guard" && packets().on);
  assert.equal(packets().keepBytes, 2 * MIB);
  writeFileSync(config, "interval: 1h\n");
  assert.equal((await run("config", "reload")).status, 0);
  await until(() => !packets().on);
  guard.kill("SIGTERM");
  await ended;
  const told = (await run("events", "--kind", "packets", "--json")).stdout.trim().split("\n");
  assert.deepEqual(
    told.map((line) => JSON.parse(line).data),
    [
      { on: true, keepBytes: 2 * MIB },
      { on: false, keepBytes: null },
    ],
  );
});
