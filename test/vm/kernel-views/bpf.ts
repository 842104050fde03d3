import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { CodeOwners } from "../../../src/linux/code-owner.ts";
import { bpf } from "../../../src/views/bpf.ts";
import type { BpfRow } from "../../../src/views/bpf.ts";
import type { Guest } from "../harness/guest.ts";
import { readAll } from "./read-all.ts";

type Told = Readonly<Record<string, unknown>>;

/** Names that bpftool is too old for, by number. */
const NUMBERED: Readonly<Record<string, number>> = { netfilter: 32, tcx: 11, netfilter_link: 10 };

async function bpftool(guest: Guest, what: string): Promise<Told[]> {
  return JSON.parse(await guest.run(`bpftool -j ${what} show`)) as Told[];
}

function without(told: Told, ...keys: readonly string[]): Told {
  return Object.fromEntries(Object.entries(told).filter(([key]) => !keys.includes(key)));
}

function ofKind<Kind extends BpfRow["kind"]>(kernel: Kernel, kind: Kind) {
  return readAll(bpf, kernel, { kind: [kind] }) as Extract<BpfRow, { kind: Kind }>[];
}

/** Programs, word for word as bpftool lists them. */
export async function programsAreThoseOfBpftool(guest: Guest, kernel: Kernel): Promise<void> {
  const theirs = await bpftool(guest, "prog");
  const ours = ofKind(kernel, "program").map((row) => ({
    id: row.id,
    type: row.type in NUMBERED ? NUMBERED[row.type] : row.type,
    name: row.name,
    tag: row.tag,
    gpl_compatible: row.gplCompatible,
    uid: row.uid,
    bytes_xlated: row.translatedSize,
    jited: row.jited !== undefined,
    bytes_jited: row.jited?.size,
    map_ids: row.maps,
  }));
  const wanted = theirs.map((told) => ({
    ...without(told, "loaded_at", "bytes_memlock", "recursion_misses"),
    map_ids: told["map_ids"] ?? [],
  }));
  assert.deepEqual(ours, wanted);
  const times = ofKind(kernel, "program").map(({ loadedAt }) => (loadedAt?.getTime() ?? 0) / 1000);
  for (const [index, { loaded_at: at }] of theirs.entries()) {
    assert.ok(Math.abs(times[index] - Number(at)) <= 1, `${times[index]} for ${String(at)}`);
  }
}

export async function mapsAreThoseOfBpftool(guest: Guest, kernel: Kernel): Promise<void> {
  const ours = ofKind(kernel, "map").map((row) => ({
    id: row.id,
    type: row.type,
    name: row.name,
    flags: row.flags,
    bytes_key: row.keySize,
    bytes_value: row.valueSize,
    max_entries: row.maxEntries,
    frozen: Number(row.frozen),
  }));
  const theirs = await bpftool(guest, "map");
  assert.deepEqual(
    ours,
    theirs.map((told) => without(told, "bytes_memlock")),
  );
}

/** What bpftool tells of a link, and what each kind of the test's program is attached to. */
export async function linksAreThoseOfBpftool(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = ofKind(kernel, "link");
  const theirs = await bpftool(guest, "link");
  assert.equal(rows.length, theirs.length);
  for (const [index, { id, type, program, attachType, target }] of rows.entries()) {
    const told = theirs[index];
    assert.equal(told["id"], id);
    assert.equal(told["prog_id"], program);
    const number = NUMBERED[`${type}_link`] ?? NUMBERED[type];
    assert.ok(
      told["type"] === type || told["type"] === number,
      `${type} is ${String(told["type"])}`,
    );
    const known = ["attach_type", "cgroup_id", "netns_ino", "tp_name"].filter((key) => key in told);
    const ours = {
      attach_type: attachType,
      cgroup_id: target.cgroup?.id,
      netns_ino: target.netns,
      tp_name: target.tracepoint,
    };
    for (const key of known)
      assert.equal(ours[key as keyof typeof ours], told[key], `${type} ${key}`);
    const expected = EXPECTED[type];
    if (expected !== undefined) assert.deepEqual(target, expected, type);
  }
  assert.ok(rows.length >= 5);
}

/** What bpf-zoo.c attaches to. */
const EXPECTED: Readonly<Record<string, object>> = {
  tracing: { functions: ["do_nanosleep"] },
  xdp: { device: { index: 1, name: "lo" } },
  tcx: { device: { index: 1, name: "lo" } },
  cgroup: { cgroup: { id: 1, path: "/" } },
  perf_event: { event: "sched_switch" },
  kprobe_multi: { functions: ["do_nanosleep"], count: 1 },
  netfilter: { netfilter: { family: 2, hook: 1, priority: -128 } },
  raw_tracepoint: { tracepoint: "sys_enter" },
};

/** The process that made all of them holds them, and its code is BPF's. */
export async function objectsHaveTheirHolders(guest: Guest, kernel: Kernel): Promise<void> {
  const pid = Number(await guest.run("pgrep bpf-zoo"));
  for (const row of readAll(bpf, kernel))
    assert.deepEqual(row.processes, [{ pid, comm: "bpf-zoo" }], `${row.kind} ${row.id}`);
  const owners = new CodeOwners(kernel);
  for (const { jited, name, tag } of ofKind(kernel, "program")) {
    const owner = owners.ownerOf(jited?.address ?? Number.NaN);
    assert.deepEqual(
      [owner?.kind, owner?.symbol, owner?.offset],
      ["bpf", `bpf_prog_${tag}_${name}`, 0],
    );
  }
}
