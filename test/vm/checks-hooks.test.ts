import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { controlRegisters } from "../../src/checks/control-registers.ts";
import { objectOperations } from "../../src/checks/object-operations.ts";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import type { ProcessorRegisters } from "../../src/vm/processors.ts";
import { Inodes } from "../../src/linux/inode.ts";
import { ObjectTables } from "../../src/linux/object-tables.ts";
import { pausedProcessors } from "../../src/response/paused-processors.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { probes } from "../../src/views/probes.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import { bpfStory } from "./harness/bpf-story.ts";
import { hookTamperings } from "./harness/hook-tamperings.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";
import { helperProgram } from "./harness/helper-program.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { populate } from "./harness/populate.ts";
import type { Population } from "./harness/populate.ts";
import { RamEditor } from "./harness/ram-editor.ts";
import { otherTerminal } from "./harness/stranger-tamperings.ts";
import { socketRows } from "./net-views/sockets.ts";

const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "generic", cpu: "max" },
] as const;

/** A kprobe, a return probe, two probes at one place, a tracepoint, and the function tracer. */
const TRACING = [
  "mount -t tracefs none /sys/kernel/tracing 2>/dev/null; cd /sys/kernel/tracing",
  "echo 'p:one vfs_statx' > kprobe_events; echo 'p:two vfs_statx' >> kprobe_events",
  "echo 'r:three vfs_statx' >> kprobe_events; echo 1 > events/kprobes/enable",
  "echo 1 > events/sched/sched_process_exec/enable",
  "echo vfs_unlink > set_ftrace_filter; echo function > current_tracer",
  "echo 'p:up /usr/bin/busybox:0x1000' > uprobe_events; echo 1 > events/uprobes/enable",
  "grep -q . kprobe_events; grep -q vfs_unlink enabled_functions",
].join("\n");

const MODULES = {
  tools: ["tc"],
  modules: ["dummy"],
  availableModules: [
    "br_netfilter",
    "bridge",
    "bonding",
    "8021q",
    "wireguard",
    "overlay",
    "veth",
    "macvlan",
    "cls_bpf",
    "sch_ingress",
  ],
};

/** Hooks, receive handlers, packet handlers and tables of functions that modules bring. */
const MODULE_TRAFFIC = [
  "modprobe -a bridge br_netfilter bonding 8021q wireguard overlay",
  "ip link add bridge0 type bridge; ip link add dummy7 type dummy",
  "ip link set dummy7 master bridge0; ip link set dummy7 up; ip link set bridge0 up",
  "ip link add link dummy7 name dummy7.5 type vlan id 5; ip netns add apart",
  "mkdir -p /o/l /o/u /o/w /o/m",
  "mount -t tmpfs upper /o; mkdir -p /o/l /o/u /o/w /o/m",
  "mount -t overlay -o lowerdir=/o/l,upperdir=/o/u,workdir=/o/w none /o/m",
  "ip link add veth7 type veth peer name peer7; ip link set veth7 master bridge0 up",
  "ip link add link peer7 name through type macvlan mode passthru; ip link set peer7 up",
  "ip link set through up; ip link set dummy7.5 up",
  "ip link add bond0 type bond 2>/dev/null; grep -q ^br_netfilter /proc/modules",
].join("\n");

/** Leaves a program of the harness running in the guest, once it has said that it is ready. */
async function start(guest: Guest, program: string): Promise<void> {
  await guest.put(`/tmp/${program}`, readFileSync(await helperProgram(program)), 0o755);
  const wait = `until grep -q ready /tmp/${program}.log; do kill -0 $! || exit 1; sleep 0.1; done`;
  await guest.run(`/tmp/${program} > /tmp/${program}.log 2>&1 < /dev/null & ${wait}`);
}

/** What a processor tampered with looks like, and what has to be said of it. */
const REGISTERS: readonly [RegExp, Partial<ProcessorRegisters>][] = [
  [/CR0\.WP off/, { cr0: 0x8000_0033n }],
  [/CR4\.SMEP off.*CR4\.SMAP off/s, { cr4: 0x20n }],
  [/EFER\.NXE off/, { efer: 0x501n }],
  [/interrupt table of processor 0/, { idtBase: 0xffff_ffff_8100_0000n }],
  [/segment table of processor 0/, { gdtBase: 0xffff_ffff_8100_0000n }],
  [/system-call entry of processor 0/, { lstar: 0xffff_ffff_8100_0000n }],
];

/** QEMU tells the registers of a clean guest; tampered ones are made of them. */
async function checkRegisters(guest: Guest, attached: Attached): Promise<void> {
  const source = await readProcessors(attached);
  assert.ok("processors" in source);
  assert.equal(source.processors.length, 2);
  const clean = lookAt(attached, source.processors);
  assert.deepEqual(clean.findings, []);
  assert.equal(clean.checks[0].status, "pass");
  const { looked, of } = clean.checks[0].coverage;
  assert.equal(of - looked, source.processors.length, "LSTAR of each processor is not looked at");
  const paused = await pausedProcessors(attached);
  assert.ok("processors" in paused);
  const whole = lookAt(attached, paused.processors);
  assert.deepEqual(whole.findings, []);
  assert.equal(whole.checks[0].coverage.looked, whole.checks[0].coverage.of);
  assert.match(await guest.hmp("info status"), /running/);
  const lstar = attached.kernel.space.folding.unfold(
    attached.kernel.requireSymbol("entry_SYSCALL_64"),
  );
  const [first] = source.processors.map((each) => ({ ...each, lstar }));
  assert.deepEqual(lookAt(attached, [first]).checks[0].status, "pass");
  for (const [says, change] of REGISTERS) {
    const { findings } = lookAt(attached, [{ ...first, ...change }]);
    assert.match(findings.map(({ title }) => title).join("\n"), says);
  }
}

/** What the view lists is what TRACING and the program perf-events set, by the guest's own words. */
async function checkProbes(guest: Guest, { kernel }: Attached): Promise<void> {
  const rows = [...probes.read(kernel, {}, assert.fail)];
  const places = (kind: string): string[] =>
    rows.filter((row) => row.kind === kind).map(({ place }) => place);
  // One line a probe: address, k or r, place; what is disarmed, optimised or aggregated follows.
  const own = await guest.run("cat /sys/kernel/debug/kprobes/list");
  const listed = own.trim().split("\n");
  const fromGuest = listed.map((line) => line.split(/\s+/)[2]?.replace(/\+0x0$/, ""));
  assert.deepEqual(new Set(places("kprobe")), new Set(fromGuest));
  assert.deepEqual(places("uprobe"), ["/usr/bin/busybox+0x1000"]);
  const pid = (await guest.run("pidof perf-events")).trim();
  // The clock has a unit of its own, with a name since 6.4; the watchdog counts on some machines.
  const events = places("perf")
    .filter((place) => !place.startsWith("cpu "))
    .map((place) => place.replace(/^cpu_clock/, "software"));
  assert.deepEqual(events.toSorted(), [
    `breakpoint 0 of thread ${pid}`,
    "software 0 of a processor",
    `software 0 of thread ${pid}`,
    `software 2 of thread ${pid}`,
  ]);
  assert.ok(places("tracepoint").includes("sched_process_exec"));
  for (const { owner, place } of rows) assert.equal(owner, "vmlinux", place);
}

function lookAt({ kernel }: Attached, processors: readonly ProcessorRegisters[]): Sweep {
  return sweep(kernel, [controlRegisters], { processors });
}

/** Lets the first name of some inode be its own next one; returns what takes that back. */
function nameInCircle({ kernel }: Attached, editor: RamEditor): () => void {
  const inodes = new Inodes(kernel);
  const names = kernel.offset("inode", "i_dentry");
  const budget = kernel.budget();
  const named = inodes
    .superBlocks(budget)
    .flatMap((block) => inodes.ofSuperBlock(block, budget))
    .map((inode) => kernel.space.pointer(inode + names))
    .find((name) => name < 0);
  assert.ok(named !== undefined, "an inode with a name");
  return editor.writePointer(named, named);
}

/** Which tables are told of an inode, before and after it and its name are taken back. */
function tablesOfLeaving({ kernel }: Attached, editor: RamEditor): Record<string, string[]> {
  const inodes = new Inodes(kernel);
  const tables = new ObjectTables(kernel);
  const budget = kernel.budget();
  const alias =
    kernel.types.member("dentry", "d_u.d_alias") ?? kernel.types.require("dentry", "d_alias");
  const pairs = inodes
    .superBlocks(budget)
    .flatMap((block) => inodes.ofSuperBlock(block, budget).map((inode) => ({ block, inode })));
  const name = (inode: number): number =>
    kernel.space.pointer(inode + kernel.offset("inode", "i_dentry"));
  const { block, inode } = pairs.find((pair) => name(pair.inode) < 0)!;
  const told = (): string[] => {
    const structs: string[] = [];
    assert.ok(tables.ofInode(inode, block, kernel.budget(), (struct) => structs.push(struct)));
    return structs;
  };
  const before = told();
  const owner = name(inode) - alias.offset + kernel.offset("dentry", "d_inode");
  const undoOwner = editor.writePointer(owner, 0);
  const nameless = told();
  undoOwner();
  const link = inode + kernel.offset("inode", "i_sb_list");
  const undoLink = editor.writePointer(link, link);
  const unlisted = told();
  undoLink();
  return { before, nameless, unlisted, after: told() };
}

for (const { release, flavour, cpu } of guests) {
  test(`code that the kernel is led to is found: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    await using guest = await bootTiny({ kernel, cpu, cpus: 2, ram: "file", ...MODULES });
    // A file of a single line and a device, open while they are tampered with.
    await guest.run("(sleep 99999 < /proc/uptime > /dev/null 2>&1 &)");
    using attached = await attach(`pid:${guest.pid}`);
    using editor = new RamEditor(guest, attached.kernel);
    const tamperings = hookTamperings(attached, editor);
    const ids = new Set(tamperings.map(({ check }) => check));
    const look = (): Sweep =>
      sweep(
        attached.kernel,
        checks.filter(({ id }) => ids.has(id)),
      );

    await t.test("nothing is found before", () => assertClean(look()));
    await t.test("control-registers", () => checkRegisters(guest, attached));
    for (const { title, check, tamper, says } of tamperings) {
      await t.test(`${check}: ${title}`, () => {
        const undo = tamper();
        try {
          assertFound(attached, look(), check, says);
        } finally {
          undo();
        }
        assertClean(only(attached, check));
      });
    }
    await t.test("nothing is found after all is undone", () => assertClean(look()));
    await t.test("names of an inode that run in a circle hide no other inode", async () => {
      await guest.qmp("stop");
      const undo = nameInCircle(attached, editor);
      const { checks: told } = sweep(attached.kernel, [objectOperations]);
      undo();
      await guest.qmp("cont");
      assert.equal(told[0].reason, "the names of an inode run in a circle");
      assertClean(only(attached, "object-operations"));
    });
    await t.test(
      "an inode or a name that is freed while it is looked at is not told of",
      async () => {
        await guest.qmp("stop");
        const { before, nameless, unlisted, after } = tablesOfLeaving(attached, editor);
        await guest.qmp("cont");
        assert.ok(before?.includes("dentry_operations") && before.includes("file_operations"));
        assert.deepEqual(
          nameless,
          before.filter((struct) => struct !== "dentry_operations"),
        );
        assert.deepEqual(unlisted, []);
        assert.deepEqual(after, before);
      },
    );
    await t.test("modules, bridges and file systems in ordinary use are no finding", async () => {
      await guest.run(MODULE_TRAFFIC);
      assertClean(look());
      await guest.run("ip link del bridge0; ip link del bond0; rmmod br_netfilter bonding");
      assertClean(look());
    });
    await t.test("tracing in ordinary use is no finding", async () => {
      await guest.run(TRACING);
      assertClean(look());
    });
    let pids: Population = new Map();
    await t.test(
      "probes are those that the guest set; perf in ordinary use is silent",
      async () => {
        await start(guest, "perf-events");
        assertClean(look());
        await checkProbes(guest, attached);
      },
    );
    await t.test("tty-operations: one end of a pseudo terminal", async () => {
      await populate(guest, ["odd-tasks"]);
      assertClean(only(attached, "tty-operations"));
      const undo = otherTerminal(attached.kernel, editor);
      const says = /operations of terminal ptm0 are not the kernel's own: con_ops/;
      assertFound(attached, only(attached, "tty-operations"), "tty-operations", says);
      undo();
      assertClean(only(attached, "tty-operations"));
    });
    await t.test("promiscuous: for a program, and by hand", async () => {
      await start(guest, "sniffer");
      const sniffer = /Device lo takes every packet, for \d+ \(sniffer\)/;
      assertFound(attached, only(attached, "promiscuous"), "promiscuous", sniffer);
      await guest.run("kill $(pidof sniffer); ip link set dummy0 promisc on");
      const byHand = /Device dummy0 takes every packet, for somebody's order/;
      assertFound(attached, only(attached, "promiscuous"), "promiscuous", byHand);
      await guest.run("ip link set dummy0 promisc off");
      assertClean(only(attached, "promiscuous"));
    });
    await t.test("socket-filters: a door that waits for a magic packet", async () => {
      assertClean(only(attached, "socket-filters"));
      pids = await populate(guest, ["odd-sockets"]);
      const door = /packet socket of \d+ \(.*\) waits for packets with a mark.*0x5ca1ab1e/s;
      assertFound(attached, only(attached, "socket-filters"), "socket-filters", door);
    });
    await t.test(
      "socket-filters: a raw socket that waits for a mark in an ICMP packet",
      async () => {
        await start(guest, "raw-door");
        const door = /raw socket of \d+ \(raw-door\) waits for packets with a mark.*0xddba115/s;
        assertFound(attached, only(attached, "socket-filters"), "socket-filters", door);
        await guest.run("kill $(pidof raw-door)");
      },
    );
    await t.test("hidden-socket: those that only an io_uring has are its process's", () => {
      assertClean(only(attached, "hidden-socket"));
      const held = socketRows(attached.kernel, { pid: [pids.get("registered") ?? 0] });
      assert.deepEqual(held.map(({ local, seenBy }) => [local, seenBy.join()]).toSorted(), [
        ["127.0.0.1:7060", "fd,hash"],
        ["127.0.0.1:7061", "fd,hash"],
      ]);
    });
    const program = (name: string): Promise<void> => start(guest, name);
    await bpfStory(t, { guest, kernel: attached.kernel, editor, start: program });
    await t.test("BPF programs in ordinary use are no finding elsewhere", () =>
      assertClean(look()),
    );
  });
}

function only({ kernel }: Attached, check: string): Sweep {
  return sweep(
    kernel,
    checks.filter(({ id }) => id === check),
  );
}

function assertClean({ findings, checks: results }: Sweep): void {
  assert.deepEqual(findings, []);
  assert.deepEqual(
    results.map(({ id, status, reason }) => ({ id, status, reason })),
    results.map(({ id }) => ({ id, status: "pass", reason: undefined })),
  );
}

/** Found, by that check, with that evidence, and with the same id when it is looked at again. */
function assertFound(attached: Attached, first: Sweep, check: string, says: RegExp): void {
  const found = first.findings.filter((finding) => finding.check === check);
  assert.ok(
    found.some((finding) => says.test(JSON.stringify(finding))),
    JSON.stringify(first.findings),
  );
  const again = only(attached, check).findings.map(({ id }) => id);
  assert.deepEqual(
    again,
    found.map(({ id }) => id),
  );
}
