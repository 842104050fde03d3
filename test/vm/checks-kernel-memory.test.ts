import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeInstruction } from "../../src/arch/x86/instruction.ts";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Kernel } from "../../src/linux/kernel.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { assertClean, assertFound } from "./harness/check-story.ts";
import type { Planted } from "./harness/check-story.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { pageTamperings } from "./harness/page-tamperings.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const IDS = new Set(["kernel-text", "kernel-rodata", "kernel-pages", "syscall-table"]);
const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "generic", cpu: "max" },
] as const;

type Tampering = Planted & {
  readonly title: string;
  readonly tamper: (guest: Attached, editor: RamEditor) => () => void;
};

/** A function that is not running while it is changed, and long enough to change inside. */
const VICTIM = "tcp4_seq_show";

const tamperings: readonly Tampering[] = [
  {
    title: "a jump at the start of a function",
    check: "kernel-text",
    tamper: ({ kernel }, editor) =>
      editor.writeBranch(kernel.requireSymbol(VICTIM), kernel.requireSymbol("linux_banner")),
    says: /tcp4_seq_show.*linux_banner/s,
  },
  {
    title: "a jump behind the ftrace site",
    check: "kernel-text",
    tamper: ({ kernel }, editor) =>
      editor.writeBranch(kernel.requireSymbol(VICTIM) + 9, kernel.requireSymbol("commit_creds")),
    says: /tcp4_seq_show\+0x.*commit_creds/s,
  },
  {
    title: "an ftrace site that calls something else than ftrace",
    check: "kernel-text",
    tamper: ({ kernel }, editor) => {
      const start = kernel.requireSymbol(VICTIM);
      const endbr = kernel.space.u32(start) === 0xfa1e0ff3 ? 4 : 0;
      return editor.writeBranch(start + endbr, kernel.requireSymbol("commit_creds"), 0xe8);
    },
    says: /tcp4_seq_show.*commit_creds/s,
  },
  {
    title: "a conditional branch turned round",
    check: "kernel-text",
    tamper: ({ kernel }, editor) => {
      const start = kernel.requireSymbol(VICTIM);
      const code = kernel.space.bytes(start, 0x400);
      assert.ok(code !== undefined);
      const at = conditionalBranch(code);
      return editor.write(start + at, Uint8Array.of(code[at] ^ 1));
    },
    says: /tcp4_seq_show/,
  },
  {
    title: "a static call sent to another function",
    check: "kernel-text",
    tamper: ({ kernel }, editor) => {
      const trampoline = kernel.requireSymbol("__SCT__cond_resched");
      return editor.writeBranch(trampoline, kernel.requireSymbol("commit_creds"));
    },
    says: /__SCT__cond_resched.*commit_creds/s,
  },
  {
    title: "a byte between functions",
    check: "kernel-text",
    tamper: ({ kernel }, editor) => {
      const end = kernel.requireSymbol("_etext");
      return editor.writeHex(end - 0x40, "90");
    },
    says: /Kernel code was changed/,
  },
  {
    title: "an operations table in constant data",
    check: "kernel-rodata",
    tamper: ({ kernel }, editor) => {
      const operations = kernel.requireSymbol("tcp4_seq_ops");
      const show = kernel.offset("seq_operations", "show");
      return editor.writePointer(operations + show, kernel.requireSymbol("commit_creds"));
    },
    says: /tcp4_seq_ops/,
  },
  {
    title: "a system-call slot",
    check: "syscall-table",
    tamper: ({ kernel }, editor) =>
      editor.writePointer(
        kernel.requireSymbol("sys_call_table") + 62 * 8,
        kernel.requireSymbol("commit_creds"),
      ),
    says: /System call 62 .*commit_creds/s,
  },
  ...pageTamperings.map(({ tamper, ...each }) => ({
    ...each,
    tamper: ({ kernel }: Attached, editor: RamEditor) => tamper(kernel, editor),
  })),
  {
    // What rodata=off sets before all is left unprotected.
    title: "protection of the kernel's memory switched off",
    check: "kernel-pages",
    tamper: ({ kernel }, editor) => editor.writeHex(kernel.requireSymbol("rodata_enabled"), "00"),
    says: /does not protect its memory: though it was not asked to/,
  },
];

/**
 * Executable memory of nobody, while somebody holds the lock under which modules come and go: in a
 * guest that stands still it may be one of these; in one that goes on it would not stay.
 */
async function assertHalfDone(
  guest: Guest,
  kernel: Kernel,
  editor: RamEditor,
  look: () => Sweep,
): Promise<void> {
  const orphan = pageTamperings.find(({ title }) => /kernel.s image once more/.test(title))!;
  const mutex = kernel.requireSymbol("module_mutex") + kernel.offset("mutex", "owner");
  const undoOrphan = orphan.tamper(kernel, editor);
  const release = editor.writePointer(mutex, kernel.requireSymbol("init_task"));
  const found = (): string[] => [...new Set(look().findings.map(({ check }) => check))];
  try {
    assert.deepEqual(found(), ["kernel-pages"]);
    await guest.qmp("stop");
    const { findings, checks: results } = look();
    assert.deepEqual(findings, []);
    const { status, reason } = results.find(({ id }) => id === "kernel-pages")!;
    assert.equal(status, "error");
    assert.match(reason ?? "", /belongs to nobody\. But the guest stands still, and a module is/);
    release();
    assert.deepEqual(found(), ["kernel-pages"]);
  } finally {
    release();
    undoOrphan();
    await guest.qmp("cont");
  }
}

/** Offset of the byte that holds a conditional branch's condition. */
function conditionalBranch(code: Uint8Array): number {
  for (let at = 0; at < code.length;) {
    const instruction = decodeInstruction(code, at);
    assert.ok(instruction !== undefined);
    const { map, opcode, relativeOffset, length } = instruction;
    const near = map === "0f" && (opcode & 0xf0) === 0x80;
    if (near || (map === "one" && (opcode & 0xf0) === 0x70)) return at + relativeOffset - 1;
    at += length;
  }
  return assert.fail("no conditional branch");
}

/** Function tracing, a graph tracer's stub, and kprobes at a function's start and inside it. */
const TRACE = `mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
  cd /sys/kernel/tracing || exit 1
  echo 'vfs_*' > set_ftrace_filter && echo function > current_tracer
  echo 'p:kvmsec_start tcp4_seq_show' > kprobe_events
  echo 'p:kvmsec_inside ${VICTIM}+9' >> kprobe_events || true
  echo 'r:kvmsec_return tcp4_seq_show' >> kprobe_events
  echo 1 > events/kprobes/enable
  cat /proc/net/tcp > /dev/null`;
const UNTRACE = `cd /sys/kernel/tracing
  echo 0 > events/kprobes/enable; echo > kprobe_events
  echo nop > current_tracer; echo > set_ftrace_filter`;

for (const { release, flavour, cpu } of guests) {
  test(`changes of kernel memory are found: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    await using guest = await bootTiny({ kernel, cpu, cpus: 1, ram: "file" });
    using attached = await attach(`pid:${guest.pid}`);
    const text = findKernelFiles(attached, { kernelFile: kernel.vmlinuz });
    const chosen = checks.filter(({ id }) => IDS.has(id));
    const look = (): Sweep => sweep(attached.kernel, chosen, text);
    using editor = new RamEditor(guest, attached.kernel);

    await t.test("nothing is found before", () => assertClean(look()));
    await t.test("the guest's own tracing stays silent", async () => {
      await guest.run(TRACE);
      assertClean(look());
      await guest.run(UNTRACE);
      assertClean(look());
    });
    for (const tampering of tamperings) {
      await t.test(tampering.title, (inner) => {
        const undo = tampering.tamper(attached, editor);
        try {
          assertFound(inner, tampering, look);
        } finally {
          undo();
        }
        assert.deepEqual(look().findings, []);
      });
    }
    await t.test("what a stopped guest may be in the midst of is told, and no finding", () =>
      assertHalfDone(guest, attached.kernel, editor, look),
    );
    await t.test("nothing is found after all is undone", () => assertClean(look()));
  });
}
