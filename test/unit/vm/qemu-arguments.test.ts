import assert from "node:assert/strict";
import { test } from "node:test";
import { qemuArguments } from "../../../src/vm/qemu-arguments.ts";
import type { Image } from "../../../src/vm/images.ts";
import { parseQemuArguments } from "../../../src/vm/qemu-command-line.ts";
import { vmPaths } from "../../../src/vm/vm-state.ts";
import type { VmConfig } from "../../../src/vm/vm-state.ts";
import { vmConfig } from "../../fixtures/vm-config.ts";

const config = vmConfig({
  name: "web_1.a",
  uuid: "fba747c8-4c8e-4847-90c1-e879bc9f0f5d",
  memoryBytes: 512 * 2 ** 20,
  cpus: 2,
});
const image = {
  vmlinuz: "/i/vmlinuz",
  initrd: "/i/initrd.img",
  commandLine: "root=/dev/vda",
} as Image;

function given(change: Partial<VmConfig>, root = "/h", tscKhz?: number) {
  const changed = { ...config, ...change };
  const home = { root, images: `${root}/images`, vms: `${root}/vms`, logs: `${root}/logs` };
  const paths = vmPaths(home, changed.name);
  const memPath = changed.ram === "file" ? "/dev/shm/ram,1" : undefined;
  const args = qemuArguments({
    config: changed,
    image,
    paths,
    accelerator: "tcg",
    memPath,
    tscKhz,
  });
  const after = (flag: string) => args.filter((_, index) => args[index - 1] === flag);
  return { args, after, paths };
}

test("what QEMU is told is what 'targets' reads off its command line", () => {
  const { args, paths } = given({});
  const read = parseQemuArguments(args);
  assert.equal(read.name, config.name);
  assert.equal(read.memory, config.memoryBytes);
  assert.equal(read.machine, "q35");
  assert.equal(read.accelerator, "tcg");
  assert.deepEqual(read.qmpSockets, [paths.monitor, paths.operator]);
});

test("every QEMU is sandboxed and has nothing that was not asked for", () => {
  const { args, after } = given({ network: "none" });
  assert.deepEqual(after("-sandbox"), [
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
  ]);
  assert.ok(args.includes("-nodefaults") && args.includes("-no-user-config"));
  assert.ok(!args.some((arg) => arg.includes("net0")));
});

test("a comma in a path stays in the path", () => {
  const { after } = given({ ram: "file" }, "/home,x");
  assert.ok(
    after("-object").includes(
      "memory-backend-file,id=ram,size=536870912,share=on,mem-path=/dev/shm/ram,,1",
    ),
  );
  assert.ok(after("-blockdev")[0]!.includes("/home,,x/vms/"));
});

test("a socket's path that does not fit its address is given from the VM's folder", () => {
  const { after } = given({}, `/${"deep/".repeat(30)}home`);
  assert.ok(after("-chardev").includes("socket,id=operator,path=operator.qmp,server=on,wait=off"));
});

test("microvm gets devices without PCI, and its clock told where it cannot measure it", () => {
  const { after } = given({ machine: "microvm" }, "/h", 2_600_000);
  assert.ok(after("-device").every((device) => !device.includes("-pci")));
  assert.match(after("-append")[0]!, /tsc_early_khz=2600000/);
  assert.doesNotMatch(given({}, "/h", 2_600_000).after("-append")[0]!, /tsc_early_khz/);
});

test("the guest's host name is a host name, and its network card's address its own", () => {
  const { after } = given({});
  assert.match(after("-append")[0]!, /systemd\.hostname=web-1-a$/);
  assert.ok(after("-device").some((device) => device.endsWith("mac=52:54:00:9f:0f:5d")));
});
