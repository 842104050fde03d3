import assert from "node:assert/strict";
import { test } from "node:test";
import { containerOf } from "../../../src/linux/container.ts";

const id = "0123456789abcdef".repeat(4);
const outer = "fedcba9876543210".repeat(4);

/** Paths as the runtimes make them, with both of their cgroup drivers. */
const paths: readonly (readonly [string, string | undefined])[] = [
  ["/", undefined],
  ["/init.scope", undefined],
  ["/user.slice/user-1000.slice/session-2.scope", undefined],
  [`/system.slice/docker-${id}.scope`, "docker:0123456789ab"],
  [`/docker/${id}`, "docker:0123456789ab"],
  [`/docker/${id}/init`, "docker:0123456789ab"],
  [
    `/user.slice/user-1000.slice/user@1000.service/app.slice/docker-${id}.scope`,
    "docker:0123456789ab",
  ],
  [`/machine.slice/libpod-${id}.scope/container`, "podman:0123456789ab"],
  [`/libpod_parent/libpod-${id}`, "podman:0123456789ab"],
  [`/machine.slice/libpod-conmon-${id}.scope`, undefined],
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod9a.slice/cri-containerd-${id}.scope`,
    "containerd:0123456789ab",
  ],
  [
    `/system.slice/containerd.service/kubepods-besteffort-pod9a.slice:cri-containerd:${id}`,
    "containerd:0123456789ab",
  ],
  [`/kubepods.slice/kubepods-pod9a.slice/crio-${id}.scope`, "cri-o:0123456789ab"],
  [`/kubepods.slice/kubepods-pod9a.slice/crio-conmon-${id}.scope`, undefined],
  [`/kubepods/burstable/pod9a/${id}`, "kubernetes:0123456789ab"],
  [`/docker/${outer}/kubelet/kubepods/besteffort/pod9a/${id}`, "kubernetes:0123456789ab"],
  ["/lxc.payload.web/system.slice/ssh.service", "lxc:web"],
  ["/lxc.monitor.web", undefined],
  ["/lxc/web", "lxc:web"],
  ["/machine.slice/systemd-nspawn@web.service/payload", "nspawn:web"],
  ["/machine.slice/machine-web.scope", "nspawn:web"],
  ["/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/vcpu0", undefined],
  ["/machine.slice/machine-lxc\\x2dweb.scope", "lxc:web"],
  [`/system.slice/docker-${id.slice(1)}.scope`, undefined],
];

for (const [path, container] of paths) {
  test(`${path} is ${container ?? "no container"}`, () => {
    assert.equal(containerOf(path), container);
  });
}

test("a path that was made to be slow is not", () => {
  const paths = ["/kubepods".repeat(100_000), `/docker/${"a".repeat(1_000_000)}`];
  for (const path of paths) assert.equal(containerOf(path), undefined);
});
