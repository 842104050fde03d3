import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { netlinkName } from "../../../src/linux/socket-names.ts";
import { sockets } from "../../../src/views/sockets.ts";
import type { SocketsOptions } from "../../../src/views/sockets.ts";
import type { Guest } from "../harness/guest.ts";
import { assertSameLines, netnsOf, rowsOf, start, within } from "./guest.ts";

/** The part of the JSON form that the tests look at. */
export type SocketJson = {
  family: string;
  protocol: string;
  type: string;
  state: string;
  local: string;
  remote: string;
  inode: number;
  queues: { receive: number; send: number } | null;
  processes: { pid: number; comm: string }[];
  uid: number | null;
  netns: number;
  kind: string;
  inFlight: boolean;
  seenBy: string[];
  missing: string[];
  tables: string[];
  filter?: { program: string; length: number; classic: string[] | null };
  unix?: { name: string | null; peerInode: number };
  packet?: { protocol: number; ifindex: number };
  netlink?: { protocol: string; portId: number; groups: number[] };
};

const namespaces = [undefined, "blue"] as const;

export function socketRows(kernel: Kernel, options: SocketsOptions = {}): SocketJson[] {
  return rowsOf(kernel, sockets, options);
}

/** Opens sockets of every kind in both namespaces, and one of another user's. */
export async function openSockets(guest: Guest): Promise<void> {
  await start(guest, "/usr/bin/socket-zoo /tmp/white 10.9.9.1");
  await start(guest, within("blue", "/usr/bin/socket-zoo /tmp/blue"));
  const listen = "echo ready; exec busybox nc -l -p 7777";
  await start(guest, `/usr/bin/setpriv --reuid 1000 --clear-groups sh -c '${listen}'`);
  await guest.run("until ss -Htln | grep -q :7777; do sleep 0.1; done");
}

/** TCP, UDP and raw sockets, the small ones among them, as `ss` lists them. */
export async function inetSocketsAreThoseOfSs(guest: Guest, kernel: Kernel): Promise<void> {
  for (const name of namespaces) {
    const netns = await netnsOf(guest, name);
    for (const [option, protocol] of Object.entries({ t: "tcp", u: "udp", w: "raw" })) {
      const output = await guest.run(within(name, `ss -HO${option}anpe`));
      const expected = lines(output).map((line) => ssLine(line));
      assert.ok(expected.length > (protocol === "tcp" ? 15 : 2));
      const rows = socketRows(kernel).filter(
        (row) => row.netns === netns && row.protocol === protocol && isHashed(row),
      );
      assertSameLines(rows.map(inetLine), expected);
    }
  }
}

/** `ss` lists what the tables hold, but of bound TCP ports only those that are in another as well. */
function isHashed(row: SocketJson): boolean {
  return row.seenBy.includes("hash") && (row.protocol !== "tcp" || row.tables.join() !== "bhash");
}

/** `LISTEN 0 128 127.0.0.1:80 0.0.0.0:* ino=7 uid=0 users=12/nc`; of a small socket ss says 0. */
function inetLine({ state, local, remote, inode, uid, processes, queues }: SocketJson): string {
  const { receive, send } = queues ?? { receive: 0, send: 0 };
  return `${state} ${receive} ${send} ${local} ${remote} ino=${inode} uid=${uid ?? 0} users=${users(processes)}`;
}

function ssLine(line: string): string {
  const [state, receive, send, local, remote] = line.split(/\s+/);
  const inode = /ino:(\d+)/.exec(line)?.[1] ?? "0";
  const uid = /uid:(\d+)/.exec(line)?.[1] ?? "0";
  return `${state} ${receive} ${send} ${local} ${remote} ino=${inode} uid=${uid} users=${usersOfSs(line)}`;
}

function usersOfSs(line: string): string {
  const found = line.matchAll(/\("([^"]*)",pid=(\d+)/g);
  return users(Array.from(found, ([, comm, pid]) => ({ pid: Number(pid), comm })));
}

/** `12/nc,13/sh`: each process once. */
function users(processes: SocketJson["processes"]): string {
  const names = processes.map(({ pid, comm }) => `${pid}/${comm}`);
  return [...new Set(names)].toSorted((a, b) => Number.parseInt(a) - Number.parseInt(b)).join(",");
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** UDP-Lite and ping sockets, which `ss` does not list, as /proc/net has them. */
export async function otherInetSocketsAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  for (const name of namespaces) {
    const netns = await netnsOf(guest, name);
    const rows = socketRows(kernel).filter((row) => row.netns === netns);
    for (const file of ["udplite", "udplite6", "icmp", "icmp6"]) {
      // UDP-Lite is gone since 7.1.
      const { stdout, status } = await guest.attempt(within(name, `cat /proc/net/${file}`));
      if (status !== 0) continue;
      const family = file.endsWith("6") ? "inet6" : "inet";
      const protocol = { udplite6: "udplite", icmp6: "icmpv6" }[file] ?? file;
      const expected = lines(stdout.toString()).slice(1).map(procLine);
      const found = rows.filter((row) => row.family === family && row.protocol === protocol);
      assert.ok(expected.length > 0);
      assertSameLines(
        found.map((row) => `${row.local.split(":").at(-1)} ${row.uid} ${row.inode}`),
        expected,
      );
    }
  }
}

/** Local port, uid, inode of a line of /proc/net/udp and its like. */
function procLine(line: string): string {
  const fields = line.trim().split(/\s+/);
  const port = Number.parseInt(fields[1].split(":")[1], 16);
  return `${port} ${fields[7]} ${fields[9]}`;
}

/** Unix sockets with names and peers, as `ss` lists them. */
export async function unixSocketsAreThoseOfSs(guest: Guest, kernel: Kernel): Promise<void> {
  for (const name of namespaces) {
    const netns = await netnsOf(guest, name);
    const output = await guest.run(within(name, "ss -HOxanp"));
    const expected = lines(output).map((line) => {
      const [kind, state, , , local, inode, , peer] = line.split(/\s+/);
      return `${kind} ${state} ${local} ${inode} ${peer} ${usersOfSs(line)}`;
    });
    assert.ok(expected.length >= 9);
    // `ss` leaves out what nobody has accepted yet.
    const rows = socketRows(kernel).filter(
      (row) => row.netns === netns && row.family === "unix" && row.inode !== 0,
    );
    const kinds: Record<string, string> = { stream: "u_str", dgram: "u_dgr", seqpacket: "u_seq" };
    assertSameLines(
      rows.map(
        (row) =>
          `${kinds[row.type]} ${row.state} ${row.local} ${row.inode} ${row.unix?.peerInode} ${users(row.processes)}`,
      ),
      expected,
    );
  }
}

/** Packet sockets with their filters, as `ss --bpf` prints them. */
export async function packetSocketsAreThoseOfSs(guest: Guest, kernel: Kernel): Promise<void> {
  for (const name of namespaces) {
    const netns = await netnsOf(guest, name);
    const output = await guest.run(within(name, "ss -HO0anpeb"));
    const expected = lines(output).map((line) => {
      const [kind, state, , , local] = line.split(/\s+/);
      const filter = /bpf filter \(\d+\):\s*(.*?)\s*$/.exec(line)?.[1] ?? "";
      const code = filter.replaceAll(/\s*,\s*/g, ",").replace(/,$/, "");
      return `${kind} ${state} ${local} ${/ino:(\d+)/.exec(line)?.[1]} ${usersOfSs(line)} ${code}`;
    });
    const rows = socketRows(kernel).filter((row) => row.netns === netns && row.family === "packet");
    const text = (row: SocketJson): string => (row.filter?.classic ?? []).join(",");
    assert.ok(rows.some((row) => row.filter !== undefined && row.filter.length > 5));
    assertSameLines(
      rows.map(
        (row) =>
          `${row.type === "raw" ? "p_raw" : "p_dgr"} ${row.state} ${row.local} ${row.inode} ${users(row.processes)} ${text(row)}`,
      ),
      expected,
    );
  }
}

/** Netlink sockets, the kernel's own ends among them, as /proc/net/netlink has them. */
export async function netlinkSocketsAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  for (const name of namespaces) {
    const netns = await netnsOf(guest, name);
    const output = await guest.run(within(name, "cat /proc/net/netlink"));
    const expected = lines(output)
      .slice(1)
      .map((line) => {
        const [, protocol, port, groups, , , , , , inode] = line.trim().split(/\s+/);
        return `${netlinkName(Number(protocol))} ${port} ${Number.parseInt(groups, 16)} ${inode}`;
      });
    const rows = socketRows(kernel, { by: "hash" }).filter(
      (row) => row.netns === netns && row.family === "netlink",
    );
    assertSameLines(
      rows.map(
        ({ netlink, inode }) =>
          `${netlink?.protocol} ${netlink?.portId} ${mask(netlink?.groups)} ${inode}`,
      ),
      expected,
    );
  }
}

/** The first 32 groups as a bit mask. */
function mask(groups: readonly number[] = []): number {
  return groups.filter((group) => group <= 32).reduce((sum, group) => sum + 2 ** (group - 1), 0);
}

function identity(row: SocketJson): string {
  return `${row.family} ${row.inode} ${row.local} ${row.remote}`;
}

/** The two ways agree on what both should see, and each alone sees its part. */
export function bothWaysAgree(kernel: Kernel): void {
  const both = socketRows(kernel);
  assert.deepEqual(
    both.filter((row) => row.missing.length > 0),
    [],
  );
  const open = socketRows(kernel, { by: "fd" });
  const hashed = socketRows(kernel, { by: "hash" });
  const seen = (way: string): string[] =>
    both.filter((row) => row.seenBy.includes(way)).map(identity);
  assertSameLines(open.map(identity), seen("fd"));
  assertSameLines(hashed.map(identity), seen("hash"));
  const sent = both.filter((row) => row.inFlight);
  assert.deepEqual(
    sent.map(({ local, processes, seenBy }) => [local, processes, seenBy.join()]),
    [
      ["127.0.0.1:8090", [], "hash"],
      ["127.0.0.1:8090", [], "hash"],
    ],
  );
  const small = both.filter((row) => row.kind !== "full").map((row) => row.state);
  assertSameLines([...new Set(small)], ["FIN-WAIT-2", "SYN-RECV", "TIME-WAIT"]);
}

/** The options of the view leave what `ss` leaves: listeners, and what one process has open. */
export async function selectionIsThatOfSs(guest: Guest, kernel: Kernel): Promise<void> {
  const netns = await netnsOf(guest);
  const locals = (rows: readonly SocketJson[]): string[] =>
    rows.filter((row) => row.netns === netns).map((row) => row.local);
  const listeners = await guest.run("ss -HOtuln");
  const expected = lines(listeners).map((line) => line.split(/\s+/)[4]);
  const protocol = ["tcp", "udp"];
  const found = socketRows(kernel, { listening: true, protocol, by: "hash" });
  assertSameLines(locals(found), expected);

  const pid = Number.parseInt(usersOfSs(await guest.run("ss -Htlnp sport = :7777")));
  const own = socketRows(kernel, { pid: [pid] });
  assert.deepEqual(locals(own), ["*:7777"]);
}

/** While connections come and go, what stays is always seen, and nothing is ever in one way only. */
export async function churnLeavesNoGhosts(guest: Guest, kernel: Kernel): Promise<void> {
  const stays = (): string[] =>
    socketRows(kernel)
      .filter((row) => row.kind === "full" && row.inode !== 0 && !/:(9090|0|\*)$/.test(row.local))
      .filter((row) => row.state === "LISTEN")
      .map(inetLine);
  const before = stays();
  await start(guest, "/usr/bin/socket-zoo churn");
  for (let round = 0; round < 40; round++) {
    assertSameLines(stays(), before);
    const ghosts = socketRows(kernel).filter((row) => row.missing.length > 0);
    assert.deepEqual(ghosts, []);
  }
}

/** vsock is a module: its tables and types are found through the module's own symbols and BTF. */
export async function vsockSocketsAreThoseOfSs(guest: Guest, kernel: Kernel): Promise<void> {
  await guest.run("modprobe -a vsock_loopback vsock_diag");
  await start(guest, "/usr/bin/socket-zoo vsock");
  if (!kernel.types.has("btf_module", "btf")) {
    // Before 5.11 modules had no BTF in memory: what cannot be read is told.
    const told: string[] = [];
    const rows = [...sockets.read(kernel, {}, (reason) => told.push(reason))];
    assert.match(told.join(), /vsock/);
    assert.equal(rows.filter((row) => row.family === "vsock").length, 4);
    return;
  }
  const expected = lines(await guest.run("ss -HO --vsock -anp")).map((line) => {
    const [kind, state, , , local, remote] = line.split(/\s+/);
    return `${kind} ${state} ${local} ${remote} ${usersOfSs(line)}`;
  });
  const rows = socketRows(kernel).filter((row) => row.family === "vsock");
  assert.ok(expected.length >= 3);
  const bound = rows.filter((row) => row.local !== "*:*");
  assertSameLines(
    bound.map((row) => `v_str ${row.state} ${row.local} ${row.remote} ${users(row.processes)}`),
    expected.filter((line) => !line.includes(" *:* *:* ")),
  );
  assert.ok(bound.every((row) => row.seenBy.join() === "fd,hash"));
}
