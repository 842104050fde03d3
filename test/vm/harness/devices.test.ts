import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { kernel } from "./debian-kernel.ts";
import { bootTiny } from "./guest.ts";
import type { Machine } from "./qemu-arguments.ts";

const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
const machines: readonly Machine[] = ["q35", "microvm"];

for (const machine of machines) {
  test(`${machine}: disks and a network card`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "kvmsec-devices-"));
    try {
      const file = join(directory, "disk");
      writeFileSync(file, Buffer.concat([Buffer.from("first sector"), Buffer.alloc(1 << 20)]));
      await using guest = await bootTiny({
        kernel: bookworm,
        machine,
        disks: [{ file, format: "raw" }],
        network: true,
      });
      assert.equal(await guest.run("dd if=/dev/vda bs=12 count=1 2>/dev/null"), "first sector");
      const network =
        "ip address add 10.0.2.15/24 dev eth0 && ip link set eth0 up && ping -c 1 10.0.2.2";
      assert.match(await guest.run(network), /1 packets received/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

test("a guest without virtio is reached over its second serial port", async () => {
  await using guest = await bootTiny({ kernel: bookworm, link: "serial", ram: "anonymous" });
  const bytes = Buffer.from(Uint8Array.from({ length: 1000 }, (_, index) => index));
  await guest.put("/tmp/bytes", bytes);
  assert.deepEqual(await guest.get("/tmp/bytes"), bytes);
  assert.equal(await guest.run("cat /proc/modules"), "");
  assert.equal(guest.ramPath, undefined);
});

test("a guest restarts and is reached again, or powers off", async () => {
  await using guest = await bootTiny({ kernel: bookworm, reboot: true });
  const bootId = () => guest.run("cat /proc/sys/kernel/random/boot_id");
  const first = await bootId();
  const hanging = assert.rejects(guest.run("sleep 1000"), /the guest restarted/);
  await guest.reboot();
  await hanging;
  assert.notEqual(await bootId(), first);
  assert.equal(guest.console.match(/Linux version/g)?.length, 2);
  await assert.rejects(guest.run("poweroff -f; sleep 1000"), /closed the link/);
  await guest.ended();
});
