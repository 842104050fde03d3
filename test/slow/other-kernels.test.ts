import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { lookWithFiles, lookWithoutFiles } from "../vm/harness/all-checks.ts";
import type { Look } from "../vm/harness/all-checks.ts";
import { assertFound } from "../vm/harness/check-story.ts";
import { moduleTamperings } from "../vm/harness/code-tamperings.ts";
import { kernel as unpacked, kernelName } from "../vm/harness/debian-kernel.ts";
import { dumpForms } from "../vm/harness/dump-forms.ts";
import { dumpsSayTheSame } from "../vm/harness/dump-equality.ts";
import { extraKernels, parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import { hookTamperings } from "../vm/harness/hook-tamperings.ts";
import { RamEditor } from "../vm/harness/ram-editor.ts";
import { bootKernelViewGuest } from "../vm/kernel-views/guest.ts";
import { promises as kernelPromises } from "../vm/kernel-views/promises.ts";
import { compareNetViews } from "../vm/net-views/all.ts";
import { bootTaskViewGuest } from "../vm/task-views/guest.ts";
import { promises as taskPromises } from "../vm/task-views/promises.ts";

/**
 * Kernels that nothing was written after: flavours and ages that no other suite boots, and those
 * that KVMSEC_TEST_KERNELS names, of any distribution. KVMSEC_TEST_ONLY_KERNELS leaves out the rest.
 */
const own =
  process.env["KVMSEC_TEST_ONLY_KERNELS"] === undefined
    ? ["bookworm-backports/rt", "sid/rt", "trixie-backports/rt"]
    : [];

/** Idle while they are changed; the tamperings need nf_tables. */
const MODULES = ["nf_tables", "dummy", "overlay", "bridge", "veth"];

for (const name of [...own, ...extraKernels()]) {
  const wish = parseKernel(name);
  const title = kernelName(wish);

  test(`${title}: silent when clean, tamperings are found, dumps say the same`, async (t) => {
    const kernel = await unpacked(wish);
    t.diagnostic(kernel.version);
    await using guest = await bootTiny({ kernel, cpus: 2, ram: "file", modules: MODULES });
    using attached = await attach(`pid:${guest.pid}`);
    const withFiles = await lookWithFiles(guest, attached);
    await t.test("no check finds anything, and all run to the end", async () =>
      assertWhole(await withFiles()),
    );
    await t.test("without files only what needs them is left out", async () =>
      assertSilentWithoutFiles(await lookWithoutFiles(attached)()),
    );
    await tamperingsAreFound(t, attached, new RamEditor(guest, attached.kernel), withFiles);
    const forms = dumpForms.filter(({ name: form }) => form === "ELF" || form === "kdump-zlib");
    await dumpsSayTheSame(t, guest, forms);
  });

  test(`${title}: views of tasks`, async (t) => {
    await using scene = await bootTaskViewGuest({ name, kernel: name, levels: 5, cpus: 2 });
    using attached = await attach(`pid:${scene.guest.pid}`);
    for (const [promise, holds] of taskPromises) {
      await t.test(promise, () => holds(scene.guest, attached.kernel, scene.population));
    }
  });

  test(`${title}: views of the kernel itself`, async (t) => {
    await using guest = await bootKernelViewGuest({ name, kernel: name, levels: 4 });
    using attached = await attach(`pid:${guest.pid}`);
    for (const [promise, holds] of kernelPromises) {
      await t.test(promise, () => holds(guest, attached.kernel));
    }
  });

  test(`${title}: views of network and mounts`, (t) =>
    compareNetViews(t, { wish, cpus: 2, cpu: "max,cx16=off" }));
}

function assertWhole({ findings, checks: results }: Sweep): void {
  assert.deepEqual(findings, []);
  for (const { id, status, reason } of results) assert.equal(status, "pass", `${id}: ${reason}`);
}

/** What was not looked at says that a file or the registers would be needed, and nothing else. */
function assertSilentWithoutFiles({ findings, checks: results }: Sweep): void {
  assert.deepEqual(findings, []);
  for (const { id, status, reason = "" } of results) {
    if (status !== "pass") assert.match(reason, /file|register/, `${id}: ${status}`);
  }
  assert.ok(results.filter(({ status }) => status === "pass").length > results.length / 2);
}

/** Hooks in the kernel's lists and tables, and in a module's code. */
async function tamperingsAreFound(
  t: TestContext,
  attached: Attached,
  editor: RamEditor,
  withFiles: Look,
): Promise<void> {
  using _ = editor;
  const { kernel } = attached;
  for (const { title, check, tamper, says } of hookTamperings(attached, editor)) {
    const chosen = checks.filter(({ id }) => id === check);
    await t.test(`${check}: ${title}`, (inner) => {
      const undo = tamper();
      try {
        assertFound(inner, { check, says }, () => sweep(kernel, chosen));
      } finally {
        undo();
      }
    });
  }
  for (const { title, check, tamper, says } of moduleTamperings) {
    await t.test(`${check}: ${title}`, async (inner) => {
      const undo = tamper(kernel, editor);
      try {
        const found = await withFiles();
        assertFound(inner, { check, says }, () => found);
      } finally {
        undo();
      }
    });
  }
  await t.test("nothing is found after all is undone", async () => assertWhole(await withFiles()));
}
