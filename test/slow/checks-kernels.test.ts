import assert from "node:assert/strict";
import { test } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { CodeOwners } from "../../src/linux/code-owner.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { attach } from "../../src/vm/guest.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import { moduleFolder } from "../vm/harness/guest-modules.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { GuestOptions } from "../vm/harness/guest.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import type { DebianWish } from "../vm/harness/debian-kernel.ts";
import { populate } from "../vm/harness/populate.ts";
import { socketRows } from "../vm/net-views/sockets.ts";

/** With whatever modules patch of themselves. */
const MODULES = ["nf_tables", "overlay", "bridge", "veth", "tun"];

const EVERY_DEBUG = "slub_debug=FZPU slab_nomerge page_poison=1 init_on_alloc=1 init_on_free=1";

/**
 * Kernels of other ages and makes than those of the quick tests, on other firmware and processors,
 * and with options by which they write themselves in other ways.
 */
const guests: readonly (DebianWish & Pick<GuestOptions, "cpu" | "append" | "uefi">)[] = [
  { release: "bullseye", flavour: "cloud", append: `mitigations=off ${EVERY_DEBUG}` },
  { release: "sid", flavour: "cloud", uefi: true, append: "mitigations=off nokaslr" },
  { release: "bullseye", flavour: "generic", uefi: true },
  {
    release: "bookworm",
    flavour: "generic",
    cpu: "Skylake-Server",
    append: "spectre_v2=retpoline,lfence retbleed=off",
  },
  { release: "bookworm", flavour: "rt" },
  { release: "trixie", flavour: "rt", append: `mitigations=off threadirqs ${EVERY_DEBUG}` },
  { release: "trixie-backports", flavour: "generic", uefi: true, cpu: "Skylake-Server" },
];

for (const { release, flavour, ...options } of guests) {
  const { cpu = "max", append = "", uefi = false } = options;
  const name = [`${release}/${flavour}`, cpu, uefi ? "UEFI" : "", append].join(" ").trim();
  test(`a clean guest is silent: ${name}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    await using guest = await bootTiny({
      kernel,
      cpu,
      uefi,
      append,
      cpus: 2,
      ram: "file",
      modules: MODULES,
    });
    using attached = await attach(`pid:${guest.pid}`);
    const files = findKernelFiles(attached, {
      kernelFile: kernel.vmlinuz,
      modulesDir: await moduleFolder(guest.options),
    });
    const processors = await readProcessors(attached);
    const look = (ids?: readonly string[]) =>
      sweep(
        attached.kernel,
        checks.filter(({ id }) => ids?.includes(id) ?? true),
        { ...files, ...processors },
      );

    await t.test("no check finds anything, and all run to the end", async () => {
      const { findings, checks: results } = look();
      assert.deepEqual(findings, []);
      for (const { id, status, reason, coverage } of results) {
        assert.equal(status, "pass", `${id}: ${reason}`);
        assert.equal(coverage.nothing, undefined, id);
      }
      // Also where the allocator puts red zones around objects.
      const places = results.find(({ id }) => id === "unlisted-process")?.coverage.looked ?? 0;
      const processes = (await guest.run("ps -e | wc -l")).trim();
      assert.ok(places > Number(processes) / 2, `${places} of ${processes} tasks`);
    });
    await t.test("without files its code is looked at by its forms", () => {
      const { findings, checks: results } = sweep(
        attached.kernel,
        checks.filter(({ id }) => id === "text-forms"),
      );
      assert.deepEqual(findings, []);
      assert.equal(results[0]?.status, "pass", results[0]?.reason);
      assert.ok((results[0]?.coverage.looked ?? 0) > 1000);
    });
    await t.test(
      "code of classic filters has an owner, and sockets of io_urings a process",
      async () => {
        const pids = await populate(guest, ["odd-sockets"]);
        assert.deepEqual(look(["kernel-pages", "hidden-socket"]).findings, []);
        assert.equal(socketRows(attached.kernel, { pid: [pids.get("registered") ?? 0] }).length, 2);
        // Where they have no packs, each has pages of its own: the PTP classifier's, and a socket's.
        if (Number.isFinite(attached.kernel.symbol("pack_list"))) return;
        const { generated } = new CodeOwners(attached.kernel);
        assert.ok(generated.filter(({ name }) => name === "bpf_classic").length >= 2);
      },
    );
  });
}
