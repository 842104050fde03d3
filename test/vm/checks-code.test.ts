import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { attach } from "../../src/vm/guest.ts";
import { assertClean, assertFound } from "./harness/check-story.ts";
import { formTamperings, hotTamperings, moduleTamperings } from "./harness/code-tamperings.ts";
import type { CodeTampering } from "./harness/code-tamperings.ts";
import { entryTamperings } from "./harness/entry-tamperings.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { moduleFolder } from "./harness/guest-modules.ts";
import { bootTiny } from "./harness/guest.ts";
import { RamEditor } from "./harness/ram-editor.ts";
import { withoutStruct } from "./harness/unknown-types.ts";

const IDS = new Set([
  "kernel-text",
  "kernel-rodata",
  "module-text",
  "vdso",
  "gdt",
  "kernel-pointers",
]);
/** Where the kernel's own code lies and leads; without any of it something goes unseen. */
const UNKNOWN = [
  "module",
  "attribute_group",
  "bpf_prog_pack",
  "ftrace_ops",
  "static_call_key",
  "net_protocol",
];
const ASKING = checks.filter(({ id }) =>
  ["kernel-pages", "kernel-pointers", "registered-callbacks", "ftrace", "timers"].includes(id),
);
/** With static calls, alternatives, tables of functions, and modules that need other modules. */
const MODULES = ["nf_tables", "overlay", "bridge", "veth", "tun"];
const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "generic", cpu: "max" },
] as const;

for (const { release, flavour, cpu } of guests) {
  test(`changes of code are found: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    await using guest = await bootTiny({ kernel, cpu, cpus: 1, ram: "file", modules: MODULES });
    using attached = await attach(`pid:${guest.pid}`);
    const files = findKernelFiles(attached, {
      kernelFile: kernel.vmlinuz,
      modulesDir: await moduleFolder(guest.options),
    });
    const chosen = checks.filter(({ id }) => IDS.has(id));
    const look = (): Sweep => sweep(attached.kernel, chosen, files);
    const forms = checks.filter(({ id }) => id === "text-forms");
    const lookAtForms = (): Sweep => sweep(attached.kernel, forms);
    using editor = new RamEditor(guest, attached.kernel);

    await t.test("nothing is found before", () => {
      assertClean(look());
      assertClean(lookAtForms());
    });
    await t.test("tracing of a module's functions stays silent", async () => {
      await guest.run(TRACE);
      assertClean(look());
      assertClean(lookAtForms());
      await guest.run(UNTRACE);
      assertClean(look());
      assertClean(lookAtForms());
    });
    const plant = (inner: TestContext, tampering: CodeTampering, seen: () => Sweep): void => {
      const undo = tampering.tamper(attached.kernel, editor);
      try {
        assertFound(inner, tampering, seen);
      } finally {
        undo();
      }
      assert.deepEqual(seen().findings, []);
    };
    for (const tampering of [...moduleTamperings, ...entryTamperings]) {
      await t.test(tampering.title, (inner) => plant(inner, tampering, look));
    }
    await t.test("changes of code that runs", async (inner) => {
      await guest.qmp("stop");
      for (const tampering of hotTamperings) plant(inner, tampering, look);
      await guest.qmp("cont");
    });
    await t.test("a vDSO page of one process's own", async (inner) => {
      const pid = (await guest.run(CHANGE_VDSO)).trim();
      const says = new RegExp(
        `Process ${pid} \\(sleep\\) has a changed vdso64.*"seen":"0f05c3"`,
        "s",
      );
      assertFound(inner, { check: "vdso", says }, look);
      await guest.run(`kill ${pid}; sleep 1`);
      assert.deepEqual(look().findings, []);
    });
    for (const tampering of formTamperings) {
      await t.test(`without files: ${tampering.title}`, (inner) =>
        plant(inner, tampering, lookAtForms),
      );
    }
    for (const struct of flavour === "cloud" ? UNKNOWN : []) {
      await t.test(`as if a newer kernel had renamed ${struct}`, () => {
        const without = withoutStruct(attached.kernel, struct);
        const { findings, checks: results } = sweep(without, [...forms, ...ASKING]);
        assert.deepEqual(findings, []);
        assert.ok(results.some(({ status }) => status === "error" || status === "skipped"));
      });
    }
    await t.test("a module without a file is told of", () => {
      const { checks: results } = sweep(attached.kernel, chosen, {
        ...files,
        moduleFile: (name, id) =>
          name === "tun" ? { missing: "lost" } : files.moduleFile(name, id),
      });
      const result = results.find(({ id }) => id === "module-text");
      assert.equal(result?.status, "error");
      assert.match(result?.reason ?? "", /tun \(lost\)/);
    });
  });
}

/** Through /proc/PID/mem even what is read-only can be written: the process gets a copy. */
const CHANGE_VDSO = `sleep 1000 & pid=$!; sleep 1
  start=$(sed -n 's/^\\([0-9a-f]*\\)-.*vdso.*/\\1/p' /proc/$pid/maps)
  printf '\\017\\005\\303' |
    dd of=/proc/$pid/mem bs=1 seek=$((0x$start + 0x900)) conv=notrunc 2>/dev/null
  echo $pid`;

/** Function tracing and kprobes in a module. */
const TRACE = `mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
  cd /sys/kernel/tracing || exit 1
  echo 'nft_*' > set_ftrace_filter && echo 'vfs_*' >> set_ftrace_filter && echo function > current_tracer
  echo 'p:kvmsec_start nf_tables:nft_do_chain' > kprobe_events
  echo 'r:kvmsec_return nf_tables:nft_do_chain' >> kprobe_events
  echo 'p:kvmsec_kernel tcp4_seq_show' >> kprobe_events
  echo 'p:kvmsec_inside tcp4_seq_show+9' >> kprobe_events || true
  echo 1 > events/kprobes/enable`;
const UNTRACE = `cd /sys/kernel/tracing
  echo 0 > events/kprobes/enable; echo > kprobe_events
  echo nop > current_tracer; echo > set_ftrace_filter`;
