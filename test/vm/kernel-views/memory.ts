import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { readAround } from "../../../src/linux/memory-reading.ts";
import { placeToRead } from "../../../src/views/read.ts";
import type { PlaceOptions } from "../../../src/views/read.ts";
import type { Guest } from "../harness/guest.ts";

/** Kernel, physical and user memory is what the guest and QEMU read at the same places. */
export async function memoryIsWhatOthersRead(guest: Guest, kernel: Kernel): Promise<void> {
  kernel.refresh();
  const read = (text: string, length: number, options: PlaceOptions = {}) => {
    const { copy, address } = placeToRead(kernel, text, options);
    return readAround(copy, address, length);
  };
  const banner = await guest.run("cat /proc/version");
  assert.equal(Buffer.from(read("linux_banner", banner.length).bytes).toString(), banner);
  assert.equal(
    Buffer.from(read("linux_banner+6", 7).bytes).toString(),
    banner.slice(6, 13),
    "an offset",
  );

  const text = kernel.image.physical;
  const saved = `${guest.paths.home}/saved`;
  await guest.qmp("pmemsave", { val: text, size: 8192, filename: saved });
  const physical = read(`0x${text.toString(16)}`, 8192, { physical: true });
  assert.deepEqual(physical.missing, []);
  assert.ok(Buffer.from(physical.bytes).equals(readFileSync(saved)));
  rmSync(saved);

  const [pid, start] = (
    await guest.run(`
      sleep 100000 > /dev/null 2>&1 & sleep 0.3
      echo $! $(sed -n 1s/-.*//p /proc/$!/maps)
    `)
  )
    .trim()
    .split(" ");
  const page = BigInt(`0x${start}`) / 4096n;
  const theirs = await guest.attempt(
    `dd if=/proc/${pid}/mem bs=4096 skip=${page} count=1 status=none`,
  );
  const user = read(`0x${start}`, 4096, { pid: [Number(pid)] });
  assert.deepEqual(user.missing, []);
  assert.ok(Buffer.from(user.bytes).equals(theirs.stdout));
}

/** A place that nothing maps is told as missing, and what lies around it is still read. */
export function holesAreTold(_guest: Guest, kernel: Kernel): void {
  const end = kernel.memory.ranges[0].size;
  const { copy } = placeToRead(kernel, "0x0", { physical: true });
  const around = readAround(copy, end - 100, 5000);
  assert.deepEqual(around.missing, [{ offset: 100, length: 4900 }]);
  const nowhere = placeToRead(kernel, "0xfffffffffffff000", {});
  assert.deepEqual(readAround(nowhere.copy, nowhere.address, 16).missing, [
    { offset: 0, length: 16 },
  ]);
  assert.throws(() => placeToRead(kernel, "1 + 1", {}), { code: "KVMSEC_ADDRESS_INVALID" });
}
