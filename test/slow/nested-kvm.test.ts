import assert from "node:assert/strict";
import { readFileSync, readdirSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { kernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { GuestFile } from "../vm/harness/initramfs.ts";

const root = resolve(import.meta.dirname, "../..");

/** Files below a folder of the checkout, as files of the guest. */
function folder(name: string, wanted: RegExp): Record<string, GuestFile> {
  const at = join(root, name);
  return Object.fromEntries(
    readdirSync(at, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && wanted.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [`/root/kvmsec${path.slice(root.length)}`, readFileSync(path)]),
  );
}

// QEMU's processor has AMD's virtualization in software: inside such a guest kvm-amd works as on a
// real machine, which this host's own /dev/kvm may not.
test("where KVM works, the probe says so, and so does a guest whose KVM module is gone", async () => {
  const node = realpathSync(process.execPath);
  await using guest = await bootTiny({
    kernel: await kernel({ release: "trixie", flavour: "generic" }),
    memory: "2G",
    cpus: 1,
    tools: [node, "qemu-system-x86_64"],
    modules: ["kvm_amd"],
    files: {
      ...folder("src", /\.ts$/),
      ...folder("node_modules/koffi", /^(index\.js|indirect\.js|package\.json)$|\.js$/),
      ...folder("node_modules/@koromix", /^(index\.js|package\.json)$|\.node$/),
      "/root/kvmsec/package.json": readFileSync(join(root, "package.json")),
      "/root/kvmsec/probe.ts":
        'import { probeAccelerator, runFirmware } from "./src/vm/accelerator.ts";\n' +
        "console.log(JSON.stringify([await probeAccelerator(), await runFirmware('qemu-system-x86_64', 'kvm')]));\n",
    },
  });
  const probe = `cd /root/kvmsec && ${node} --disable-warning=ExperimentalWarning probe.ts`;
  const works = JSON.parse(await guest.run(probe, { timeout: 300_000 }));
  assert.equal(works[0].kvm, "works", JSON.stringify(works));
  assert.equal(works[0].accelerator, "kvm");
  assert.deepEqual(works[1].passed, true);
  await guest.run("rmmod kvm_amd");
  const gone = JSON.parse(await guest.run(probe, { timeout: 300_000 }));
  assert.equal(gone[0].accelerator, "tcg");
  assert.equal(gone[1].passed, false);
});
