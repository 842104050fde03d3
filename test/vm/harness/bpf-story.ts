import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { checks } from "../../../src/checks/registry.ts";
import { sweep } from "../../../src/checks/sweep.ts";
import type { Sweep } from "../../../src/checks/sweep.ts";
import { bpfAttachments } from "../../../src/linux/bpf-attachments.ts";
import { BpfLinks } from "../../../src/linux/bpf-link.ts";
import { BpfMaps } from "../../../src/linux/bpf-map.ts";
import { BpfPrograms } from "../../../src/linux/bpf-program.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { assertClean, assertFound } from "./check-story.ts";
import type { Guest } from "./guest.ts";
import type { RamEditor } from "./ram-editor.ts";
import { together } from "./hook-tamperings.ts";

export type BpfScene = {
  readonly guest: Guest;
  readonly kernel: Kernel;
  readonly editor: RamEditor;
  /** Leaves a program of the harness running in the guest. */
  readonly start: (program: string) => Promise<void>;
};

/** Where bpf-zoo's programs run: by the place, the name of the program. */
const PLACES: readonly (readonly [RegExp, string])[] = [
  [/^cgroup \(inet_ingress\)$/, "ingress"],
  [/^XDP of lo$/, "pass"],
  [/^tc egress of lo$/, "classify"],
  [/^tracepoint sys_enter$/, "enter"],
  [/^trampoline of do_nanosleep$/, "entry"],
  [/^an event$/, "point"],
  [/^map \d+$/, "filter"],
];

/** What looks at the code and the functions of struct_ops, and at who has them. */
const STRUCT_OPS = new Set(["bpf", "kernel-pages", "registered-callbacks", "socket-functions"]);

/** Numbers of programs, maps and links are found from the places where these are used. */
export async function bpfStory(t: TestContext, scene: BpfScene): Promise<void> {
  const { guest, kernel, editor, start } = scene;
  const bpf = checks.filter(({ id }) => id === "bpf");
  const look = (): Sweep => sweep(kernel, bpf);
  const found = (inner: TestContext, says: RegExp): void =>
    assertFound(inner, { check: "bpf", says }, look);

  await t.test("BPF: ordinary programs are no finding", async () => {
    await start("bpf-zoo");
    await attachFromOutside(guest);
    assertClean(look());
  });
  await t.test("BPF: programs are found where they run", () => checkPlaces(kernel));
  for (const name of ["ingress", "pass", "classify", "enter", "entry", "point"]) {
    await t.test(`BPF: ${name}, taken from both lists of programs`, (inner) => {
      const program = programNamed(kernel, name);
      const undo = together(unlist(kernel, editor, "prog_idr", program), silence(scene, program));
      try {
        found(inner, new RegExp(`BPF program ${name} \\(\\w+\\) is in use but not listed`));
      } finally {
        undo();
      }
      assertClean(look());
    });
  }
  await t.test("BPF: a map and a link that are used and not listed", (inner) => {
    const map = [...new BpfMaps(kernel).all(kernel.budget())].find(({ name }) => name === "table");
    const [link] = new BpfLinks(kernel).all(kernel.budget());
    assert.ok(map !== undefined && link !== undefined);
    for (const [idr, object, says] of [
      ["map_idr", map.map, /BPF map table is in use but not listed.*program \d+/s],
      ["link_idr", link.link, /BPF link 0x\w+ is in use but not listed/],
    ] as const) {
      const undo = unlist(kernel, editor, idr, object);
      try {
        found(inner, says);
      } finally {
        undo();
      }
      assertClean(look());
    }
  });
  await t.test("BPF: a program that changes what a function returns", (inner) => {
    const program = programNamed(kernel, "entry");
    const attached = program + kernel.offset("bpf_prog", "expected_attach_type");
    const modify = kernel.types.enumerator("bpf_attach_type", "BPF_MODIFY_RETURN");
    const undo = editor.write(attached, Uint8Array.of(modify ?? assert.fail()));
    try {
      found(inner, /BPF program entry \(tracing\) changes what a kernel function returns/);
    } finally {
      undo();
    }
    assertClean(look());
  });
  await t.test("BPF: a function of the kernel that is called past its helpers", (inner) => {
    const code = programNamed(kernel, "entry") + kernel.offset("bpf_prog", "insnsi");
    const distance = Buffer.alloc(4);
    const base = kernel.requireSymbol("__bpf_call_base");
    distance.writeInt32LE(kernel.requireSymbol("bpf_send_signal") - base);
    // BPF_JMP | BPF_CALL with BPF_PSEUDO_KFUNC_CALL as its source.
    const undo = editor.write(code, Uint8Array.of(0x85, 0x20, 0, 0, ...distance));
    try {
      found(inner, /BPF program entry \(tracing\) sends signals to processes/);
    } finally {
      undo();
    }
    assertClean(look());
  });
  await t.test("BPF: machine code of a program that calls what is none", (inner) => {
    // A program that nothing runs; it begins with room for a call (X86_PATCH_SIZE).
    const code = kernel.reader("bpf_prog", "bpf_func")(programNamed(kernel, "filter"));
    const called = checks.filter(({ id }) => id === "generated-code");
    assertClean(sweep(kernel, called));
    const undo = editor.writeBranch(code, kernel.requireSymbol("init_task"), 0xe8);
    try {
      const says = /leads to memory that holds data: init_task/;
      assertFound(inner, { check: "generated-code", says }, () => sweep(kernel, called));
    } finally {
      undo();
    }
    assertClean(sweep(kernel, called));
  });
  await t.test("BPF: congestion control made of programs is no finding anywhere", async () => {
    await start("bpf-congestion");
    const called = checks.filter(({ id }) => STRUCT_OPS.has(id));
    assertClean(sweep(kernel, called));
    await guest.run("kill $(pidof bpf-congestion)");
  });
  await t.test("BPF: a program that can overwrite processes' memory, hidden too", async (inner) => {
    await start("bpf-writer");
    const pid = (await guest.run("pidof bpf-writer")).trim();
    found(inner, new RegExp(`writer \\(kprobe\\) overwrites the memory.*"pids":\\[${pid}\\]`, "s"));
    const undo = unlist(kernel, editor, "prog_idr", programNamed(kernel, "writer"));
    found(inner, /writer \(kprobe\) is in use but not listed/);
    undo();
  });
}

/** tc and tail calls are set up by the distribution's own tools. */
async function attachFromOutside(guest: Guest): Promise<void> {
  await guest.run("bpftool prog pin name classify /sys/fs/bpf/classify");
  await guest.run("tc qdisc add dev lo clsact");
  await guest.run("tc filter add dev lo egress bpf da object-pinned /sys/fs/bpf/classify");
  await guest.run(
    "bpftool map update name progs key 0 0 0 0 value $(bpftool prog show name filter | sed -n 's/^\\([0-9]*\\):.*/id \\1/p')",
  );
}

function checkPlaces(kernel: Kernel): void {
  const maps = [...new BpfMaps(kernel).all(kernel.budget())].map(({ map }) => map);
  const decoder = new BpfPrograms(kernel);
  const places = [...bpfAttachments(kernel, maps, kernel.budget(), assert.fail)].map(
    ({ place, program }) => ({ place, name: decoder.decode(program).name }),
  );
  for (const [place, name] of PLACES) {
    const there = places.filter((each) => place.test(each.place)).map((each) => each.name);
    assert.deepEqual([...new Set(there)], [name], String(place));
  }
  // tcx came with 6.6.
  const isTcx = kernel.types.has("tcx_entry", "bundle");
  assert.equal(
    places.find(({ place }) => place === "tcx ingress of lo")?.name,
    isTcx ? "classify" : undefined,
  );
}

function programNamed(kernel: Kernel, name: string): GuestVirtual {
  const programs = [...new BpfPrograms(kernel).all(kernel.budget(), assert.fail)];
  const program = programs.find((each) => each.name === name)?.program;
  assert.ok(program !== undefined, name);
  return program;
}

/** Takes an object's number away, as a rootkit would, and leaves it running. */
function unlist(kernel: Kernel, editor: RamEditor, idr: string, object: GuestVirtual): () => void {
  const root = kernel.requireSymbol(idr) + kernel.offset("idr", "idr_rt.xa_head");
  // All numbers of this guest are in one node; its lowest bits mark it as one.
  const slots = kernel.space.pointer(root) - 2 + kernel.offset("xa_node", "slots");
  for (let index = 0; index < 64; index++) {
    const slot = slots + index * 8;
    if (kernel.space.pointer(slot) === object) return editor.writePointer(slot, 0);
  }
  return assert.fail(`${idr} has no slot for it`);
}

/** Unlinks a program's code from the list for stack traces (`bpf_kallsyms`). */
function silence({ kernel, editor }: BpfScene, program: GuestVirtual): () => void {
  const aux = kernel.reader("bpf_prog", "aux")(program);
  const node = aux + kernel.offset("bpf_prog_aux", "ksym") + kernel.offset("bpf_ksym", "lnode");
  const [next, previous] = [kernel.space.pointer(node), kernel.space.pointer(node + 8)];
  return together(editor.writePointer(next + 8, previous), editor.writePointer(previous, next));
}
